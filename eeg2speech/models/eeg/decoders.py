"""Decoders of the masked autoencoder: over all positions, in local windows, or for queried patches only."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import torch
from einops import rearrange
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from eeg2speech.models.eeg.encoder import Layout
from eeg2speech.models.eeg.patches import Masked
from eeg2speech.models.eeg.positions import DistanceBias
from eeg2speech.models.eeg.transformer import Blocks, CrossBlock, LayerNorm, attention_mask, start_as_similarity


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Pick tokens, (B, N, D), by index, (B, M), into (B, M, D)."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


class Decoder(Protocol):
    """Interface of decoders. ``predicted`` is the fraction of hidden patches that a training step predicts."""

    predicted: float

    def build(self, width: int, outputs: int) -> None:
        """Make the layers for tokens of ``width`` features and patches of ``outputs`` samples."""

    def __call__(self, encoded: Tensor, layout: Layout, masked: Masked) -> Tensor:
        """Predict the hidden patches.

        Args:
            encoded: Visible tokens from the encoder, (B, K, D).
            layout: Positions of all patches.
            masked: Which patches are visible and which hidden.

        Returns:
            (B, M, P).
        """


class _GridDecoder(nn.Module):
    """Puts mask tokens in the place of hidden patches and transforms the whole grid by its ``body``.

    Args:
        width: Features of a token inside the decoder.
        depth: Number of blocks.
        heads: Attention heads.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.
    """

    predicted = 1.0

    def __init__(self, width: int = 64, depth: int = 2, heads: int = 8, mlp_ratio: float = 2.0) -> None:
        super().__init__()
        self.width, self.depth, self.heads, self.mlp_ratio = width, depth, heads, mlp_ratio

    def build(self, width: int, outputs: int) -> None:
        """Make the layers; see ``Decoder``."""
        self.entry, self.code = nn.Linear(width, self.width), nn.Linear(width, self.width)
        self.norm_tokens, self.norm = LayerNorm(width), LayerNorm(self.width)
        self.mask_token = nn.Parameter(torch.randn(self.width) * 0.02)
        self.make_body()
        self.head = nn.Linear(self.width, outputs)

    @abstractmethod
    def make_body(self) -> None:
        """Make the layers of the body."""

    @abstractmethod
    def body(self, grid_tokens: Tensor, layout: Layout) -> Tensor:
        """Transform the tokens of the whole grid, (B, N, D)."""

    def forward(self, encoded: Tensor, layout: Layout, masked: Masked) -> Tensor:
        """Predict the hidden patches; see ``Decoder``."""
        entered = self.entry(self.norm_tokens(encoded))
        B, N = len(encoded), layout.codes.shape[1]
        index = masked.visible[..., None].expand(-1, -1, self.width)
        if masked.visible_exists is not None:
            entered = torch.where(masked.visible_exists[..., None], entered, self.mask_token.to(entered.dtype))
        everything = self.mask_token.to(entered.dtype).expand(B, N, -1).scatter(1, index, entered)
        out = self.norm(self.body(everything + self.code(layout.codes), layout))
        prediction: Tensor = self.head(gather_tokens(out, masked.hidden))
        return prediction


class FullDecoder(_GridDecoder):
    """Global attention over all positions, as in the masked autoencoder of images.

    Reference: He et al. 2021, Masked autoencoders are scalable vision learners (arXiv 2111.06377).
    """

    def make_body(self) -> None:
        """Make the transformer blocks."""
        self.blocks = Blocks(self.width, self.depth, self.heads, self.mlp_ratio)
        self.distance = DistanceBias(self.heads)
        start_as_similarity(self.blocks)

    def body(self, grid_tokens: Tensor, layout: Layout) -> Tensor:
        """Transform the tokens of the whole grid, (B, N, D)."""
        places = layout.places
        bias = None if places is None else self.distance(places, places)
        out: Tensor = self.blocks(grid_tokens, attention_mask(bias, layout.exists))
        return out


class LocalDecoder(_GridDecoder):
    """Attention in windows of 4 x 4 patches, shifted along time in every second block, as in AudioMAE.

    Electrode groups without an electrode take part as empty tokens.

    Reference: Huang et al. 2022, Masked autoencoders that listen (NeurIPS).
    """

    WINDOW, SHIFT = 4, 2

    def make_body(self) -> None:
        """Make the Swin blocks; odd ones are shifted along time."""
        self.blocks = nn.ModuleList(
            SwinTransformerBlock(
                self.width,
                input_resolution=(self.WINDOW, self.WINDOW),
                num_heads=self.heads,
                window_size=self.WINDOW,
                shift_size=(self.SHIFT if index % 2 else 0, 0),  # type: ignore[arg-type]  # a pair is accepted
                always_partition=True,
                dynamic_mask=True,
                mlp_ratio=self.mlp_ratio,
            )
            for index in range(self.depth)
        )

    def body(self, grid_tokens: Tensor, layout: Layout) -> Tensor:
        """Transform the tokens of the whole grid, (B, N, D)."""
        image = rearrange(grid_tokens, "b (g l) d -> b l g d", g=layout.grid[0])
        for block in self.blocks:
            image = block(image)
        return rearrange(image, "b l g d -> b (g l) d")


class CrossDecoder(nn.Module):
    """Queries for a part of the hidden patches attend to the encoder's output.

    At 80 % masking a decoder over the whole grid costs about three times its encoder; this one costs a fraction of it.

    Reference: Fu et al. 2024, Rethinking patch dependence for masked autoencoders (arXiv 2401.14391).

    Args:
        width: Features of a token inside the decoder.
        depth: Number of blocks.
        heads: Attention heads.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.
        predicted: Fraction of the hidden patches that a training step predicts; validation predicts all.
    """

    def __init__(
        self, width: int = 64, depth: int = 2, heads: int = 8, mlp_ratio: float = 2.0, predicted: float = 0.5
    ) -> None:
        super().__init__()
        self.width, self.depth, self.heads, self.mlp_ratio = width, depth, heads, mlp_ratio
        self.predicted = predicted

    def build(self, width: int, outputs: int) -> None:
        """Make the layers; see ``Decoder``."""
        self.entry, self.code = nn.Linear(width, self.width), nn.Linear(width, self.width)
        self.norm_keys = LayerNorm(self.width, bias=False)  # softmax cancels what all keys share
        self.mask_token = nn.Parameter(torch.randn(self.width) * 0.02)
        self.distance = DistanceBias(self.heads)
        self.blocks = nn.ModuleList(CrossBlock(self.width, self.heads, self.mlp_ratio) for _ in range(self.depth))
        start_as_similarity(self.blocks)
        self.head = nn.Linear(self.width, outputs)

    def forward(self, encoded: Tensor, layout: Layout, masked: Masked) -> Tensor:
        """Predict the hidden patches; see ``Decoder``."""
        codes = layout.codes.expand(len(encoded), -1, -1)
        queries = self.mask_token + self.code(gather_tokens(codes, masked.hidden))
        values = self.entry(encoded)
        keys = self.norm_keys(values + self.code(gather_tokens(codes, masked.visible)))
        bias = None
        if layout.places is not None:
            where = (gather_tokens(layout.places, index) for index in (masked.hidden, masked.visible))
            bias = self.distance(*where)
        mask = attention_mask(bias, masked.visible_exists)
        for block in self.blocks:
            queries = block(queries, keys, values, mask)
        prediction: Tensor = self.head(queries)  # no norm, because the prediction has the amplitude of the signal
        return prediction
