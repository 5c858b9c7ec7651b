"""Transformer blocks and attention, with masks that are added to attention scores."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

NEVER = -1e4
"""Score of a padding key: weight 0 after softmax in any precision, and no NaN where all keys are padding."""
FUSED_FROM = 128
"""Tokens from which a CPU's fused attention kernel is faster than plain matrix products."""


class LayerNorm(nn.LayerNorm):
    """Layer norm with the small epsilon of vision transformers."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(width, eps=1e-6, **options)


def attention_mask(bias: Tensor | None, exists: Tensor | None) -> Tensor | None:
    """Sum of bias and padding mask, to be added to attention scores.

    Args:
        bias: (B, heads, M, K); None for no bias.
        exists: False for padding keys, (B, K); None if all exist.

    Returns:
        (B, heads or 1, M or 1, K); None if there is nothing to add.
    """
    if exists is None:
        return bias
    keys = exists[:, None, None, :]
    if bias is None:
        return torch.zeros(keys.shape, device=keys.device).masked_fill(~keys, NEVER)
    return bias.masked_fill(~keys, NEVER)


def prefers_fused(tokens: Tensor) -> bool:
    """Whether the fused attention kernel is faster for tokens, (B, N, D): on a CPU only for long sequences."""
    return tokens.device.type != "cpu" or tokens.shape[1] >= FUSED_FROM


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention by plain matrix products, (B, heads, N, width of a head).

    Args:
        query: (B, heads, M, d).
        key: (B, heads, K, d).
        value: (B, heads, K, d).
        mask: From ``attention_mask``.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask
    attended: Tensor = scores.softmax(dim=-1).to(value.dtype) @ value
    return attended


class Blocks(nn.Module):
    """A stack of timm's transformer blocks.

    Args:
        width: Features of a token, D.
        depth: Number of blocks.
        heads: Attention heads.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.
        checkpointing: Recompute activations in the backward pass: less memory, about a third more time.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp_ratio: float, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio, qkv_bias=True, norm_layer=LayerNorm) for _ in range(depth)
        )

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform tokens, (B, N, D), with a mask from ``attention_mask``; the result is not normed."""
        for block in self.blocks:
            assert isinstance(block, Block)
            block.attn.fused_attn = prefers_fused(tokens)  # type: ignore[assignment]  # timm says it is final
            if self.checkpointing and self.training:
                tokens = checkpoint(block, tokens, mask, use_reentrant=False)
            else:
                tokens = block(tokens, mask)
        return tokens


class CrossBlock(nn.Module):
    """Queries attend to tokens, but not to one another; an MLP follows.

    Keys are normed. Values are not, because the prediction needs the amplitude of the signal.

    Args:
        width: Features of queries and tokens, D.
        heads: Attention heads.
        mlp_ratio: Hidden features of the MLP, as a multiple of the width.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_mlp = LayerNorm(width), LayerNorm(width)
        self.query, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # softmax cancels what all keys share
        self.proj = nn.Linear(width, width)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Update queries, (B, M, D), from normed keys and from values, (B, K, D)."""
        query, key, value = (
            rearrange(x, "b n (h d) -> b h n d", h=self.heads)
            for x in (self.query(self.norm_query(queries)), self.key(keys), self.value(values))
        )
        attention = F.scaled_dot_product_attention if prefers_fused(keys) else attend
        seen = attention(query, key, value, mask)
        queries = queries + self.proj(rearrange(seen, "b h m d -> b m (h d)"))
        out: Tensor = queries + self.mlp(self.norm_mlp(queries))
        return out


@torch.no_grad()
def start_as_similarity(module: nn.Module) -> None:
    """Start every attention as a similarity kernel: the key matrix equals the query matrix.

    Tokens then attend to similar tokens from the first training step, which shortens the plateau on which a masked
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
            part.key.weight.copy_(query)
            part.query.bias.zero_()
