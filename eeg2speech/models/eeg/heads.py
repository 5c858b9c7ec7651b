"""Heads of the aligner: from tokens to one vector a step, and from steps to the vector of a window."""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.models.eeg.transformer import LayerNorm

Similarity = Literal["steps", "window", "pooled"]
"""How two windows are compared: the cosine averaged over steps, the cosine of all steps as one vector, where
steps with a larger norm count more, or the cosine of means over time."""


class RowPooling(nn.Module):
    """Combines the rows of a grid of tokens, electrode groups or frequency ranges, into one token a step.

    Every output weights the rows by their position codes alone, not by their tokens: a spatial filter for any montage.

    Reference: Defossez et al. 2023, Decoding speech perception from non-invasive brain recordings (spatial attention).

    Args:
        width: Features of a token, D.
        code: Features of a row's position code.
        outputs: Number of filters.
        features: Of the combined token.
    """

    def __init__(self, width: int, code: int, outputs: int, features: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(outputs, code) / code**0.5)
        self.key = nn.Linear(code, code)
        self.mix = nn.Linear(outputs * width, features)

    def forward(self, tokens: Tensor, codes: Tensor, exists: Tensor | None) -> Tensor:
        """Combine rows.

        Args:
            tokens: (B, L, G, D).
            codes: Position codes of the rows, (B or 1, G, D').
            exists: Which rows exist, (B, G); None if all do.

        Returns:
            (B, L, features).
        """
        keys = self.key(codes)
        scores = torch.einsum("md,bgd->bmg", self.queries, keys)
        if exists is not None:
            scores = scores.masked_fill(~exists[:, None], float("-inf"))
            scores = scores.masked_fill(~exists.any(1)[:, None, None], 0)  # nothing exists: tokens are zero anyway
        weights = scores.softmax(dim=-1).to(tokens.dtype).expand(len(tokens), -1, -1)
        pooled = torch.einsum("bmg,blgd->blmd", weights, tokens)
        out: Tensor = self.mix(rearrange(pooled, "b l m d -> b l (m d)"))
        return out


class FlatMixing(nn.Module):
    """Combines a fixed number of rows with one matrix; for data with a single montage.

    Args:
        width: Features of a token, D.
        rows: Number of rows, G; input with fewer rows is padded.
        features: Of the combined token.
    """

    def __init__(self, width: int, rows: int, features: int) -> None:
        super().__init__()
        self.rows = rows
        self.mix = nn.Linear(rows * width, features)

    def forward(self, tokens: Tensor) -> Tensor:
        """Combine rows, (B, L, G, D) to (B, L, features).

        Raises:
            ValueError: There are more rows than expected.
        """
        if tokens.shape[2] > self.rows:
            raise ValueError(f"{tokens.shape[2]} rows of tokens, the head was made for {self.rows}")
        padded = F.pad(tokens, (0, 0, 0, self.rows - tokens.shape[2]))
        out: Tensor = self.mix(rearrange(padded, "b l g d -> b l (g d)"))
        return out


class TemporalContext(nn.Module):
    """Residual convolutions over steps, since the response of the cortex lasts several hundred milliseconds.

    Args:
        features: Of a step.
        kernel: Steps covered by a convolution, odd.
        depth: Number of convolutions.
        dropout: Fraction of features dropped in training.
    """

    def __init__(self, features: int, kernel: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(LayerNorm(features) for _ in range(depth))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(features, features, kernel, padding=kernel // 2) for _ in range(depth)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """Add context to steps, (B, L, features)."""
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            seen = convolution(F.gelu(norm(steps)).transpose(1, 2)).transpose(1, 2)
            steps = steps + self.dropout(seen)
        return steps


def embed(steps: Tensor, similarity: Similarity, centre: bool = True) -> Tensor:
    """Turn steps into vectors whose dot product is the similarity of two windows, in [-1, 1].

    Args:
        steps: (B, L, E).
        similarity: How windows are compared.
        centre: Subtract the mean over the window's steps first; not for ``pooled``.

    Returns:
        Unit vectors, (B, L * E), or (B, E) for ``pooled``.
    """
    steps = steps.float()
    if similarity == "pooled":
        return F.normalize(steps.mean(1), dim=-1)
    if centre and steps.shape[1] > 1:
        steps = steps - steps.mean(1, keepdim=True)
    if similarity == "steps":
        steps = F.normalize(steps, dim=-1) / steps.shape[1] ** 0.5
        return steps.flatten(1)
    return F.normalize(steps.flatten(1), dim=-1)
