from __future__ import annotations

from functools import partial

import torch
from einops import rearrange
from timm.layers import Mlp
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

layer_norm = partial(nn.LayerNorm, eps=1e-6)
"""Layer norm with the small epsilon of vision transformers."""


class Blocks(nn.Module):
    """A stack of timm's transformer blocks with a norm behind it.

    Args:
        width: Features of a token, D.
        depth: Blocks.
        heads: Attention heads.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.
        checkpointing: Recompute activations in the backward pass: less memory, about a third more time.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp_ratio: float, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio, qkv_bias=True, norm_layer=layer_norm) for _ in range(depth)
        )
        self.norm = layer_norm(width)

    def forward(self, tokens: Tensor, exists: Tensor | None = None) -> Tensor:
        """Transform tokens, (B, N, D); those that do not exist, (B, N), are never attended to."""
        mask = None if exists is None else exists[:, None, None, :]
        for block in self.blocks:
            if self.checkpointing and self.training:
                tokens = checkpoint(block, tokens, mask, use_reentrant=False)
            else:
                tokens = block(tokens, mask)
        out: Tensor = self.norm(tokens)
        return out


class CrossBlock(nn.Module):
    """Queries that look at tokens, then an MLP; queries do not see one another.

    Args:
        width: Features of queries and tokens, D.
        heads: Attention heads.
        mlp_ratio: Hidden features of the MLP, as a multiple of the width.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_mlp = layer_norm(width), layer_norm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, queries: Tensor, tokens: Tensor, exists: Tensor | None = None) -> Tensor:
        """Update queries, (B, M, D), from normed tokens, (B, K, D), where ``exists``, (B, K)."""
        query = rearrange(self.query(self.norm_query(queries)), "b m (h d) -> b h m d", h=self.heads)
        key, value = rearrange(self.key_value(tokens), "b k (two h d) -> two b h k d", two=2, h=self.heads)
        mask = None if exists is None else exists[:, None, None, :]
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        queries = queries + self.proj(rearrange(seen, "b h m d -> b m (h d)"))
        out: Tensor = queries + self.mlp(self.norm_mlp(queries))
        return out


@torch.no_grad()
def start_as_similarity(module: nn.Module) -> None:
    """Start every attention as a similarity kernel: the key matrix equals the query matrix.

    Tokens then attend to tokens like themselves from the first step on, which shortens the plateau at which a masked
    autoencoder of EEG predicts the mean.

    Reference: Trockman and Kolter 2023, Mimetic initialization of self-attention layers (arXiv 2305.09828).
    """
    for part in module.modules():
        if isinstance(part, Attention):
            width = part.qkv.weight.shape[1]
            query = torch.randn(part.attn_dim, width) / width**0.5
            part.qkv.weight[: 2 * part.attn_dim] = query.repeat(2, 1)
            part.qkv.bias.zero_()
        elif isinstance(part, CrossBlock):
            width = part.query.weight.shape[1]
            query = torch.randn(width, width) / width**0.5
            part.query.weight.copy_(query)
            part.key_value.weight[:width] = query
            part.query.bias.zero_()
            part.key_value.bias.zero_()
