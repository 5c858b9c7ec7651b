"""Language of audio (LOA): the tokens that AudioLDM 2 is conditioned on, their pooling, scale and linear prediction.

LOA tokens are the output of ``AudioMAE`` with the ``blocks`` of ``BLOCKS``, (B, L, F, D), or of the audio encoder that
a model was trained with. The speech checkpoint takes all L x F tokens; the general one pools 8 x 8 tokens into one.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.core.errors import DataError

BLOCKS = (9, 10, 11)
"""Blocks of AudioMAE, from 0, whose normed outputs are averaged."""
POOLED = 8
"""Steps that the general checkpoint pools into one token."""
LEAST = 1e-3
"""Least spread of a feature, as a fraction of the mean spread: a cache rounds to three digits."""


def pool_loa(tokens: Tensor, steps: int = POOLED) -> Tensor:
    """Pool LOA tokens over blocks of time and the whole spectrum: half the mean and half the largest value.

    Reference: Liu et al. 2024, AudioLDM 2: learning holistic audio generation with self-supervised pretraining (TASLP
    32, 2871-2883).

    Args:
        tokens: (B, L, F, D).
        steps: Of a block; a shorter block at the end is pooled over the steps it has.

    Returns:
        (B, ceil(L / steps), D).
    """
    grid, window = rearrange(tokens, "b l f d -> b d l f"), (steps, tokens.shape[2])
    mean = F.avg_pool2d(grid, window, ceil_mode=True)  # divides by the places inside
    largest = F.max_pool2d(grid, window, ceil_mode=True)
    return rearrange((mean + largest) / 2, "b d l 1 -> b l d")


class LOAScale(nn.Module):
    """Standardises every feature of the tokens, so that all have the same weight in a distance or an error.

    Before a fit the tokens stay as they are.

    Args:
        rows: Frequency ranges, F.
        width: Features of a token, D.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(rows, width))
        self.register_buffer("spread", torch.ones(rows, width))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Fit mean and standard deviation over all steps of windows.

        Args:
            batches: Tokens of training windows, (B, L, F, D) each.

        Raises:
            DataError: There are no tokens, or they are not finite or constant.
        """
        count = 0
        total = torch.zeros(self.mean.shape, dtype=torch.float64)
        square = torch.zeros_like(total)
        for tokens in batches:
            values = tokens.detach().to("cpu", torch.float64).flatten(0, 1)
            count += len(values)
            total += values.sum(0)
            square += values.square().sum(0)
        mean = total / max(1, count)
        spread = (square / max(1, count) - mean.square()).clamp(min=0).sqrt()
        if not bool(spread.isfinite().all()) or not bool(spread.max() > 0):
            raise DataError(
                f"tokens of {count} steps of training sound are not finite or all alike; look for silent or damaged "
                "sounds in the store (data.store), or use other audio weights (model.audio_weights)"
            )
        self.mean.copy_(mean)
        self.spread.copy_(spread.clamp(min=LEAST * float(spread.mean())))

    def forward(self, tokens: Tensor) -> Tensor:
        """Standardise tokens and concatenate those of a step, (B, L, F, D) to (B, L, F * D)."""
        return ((tokens.float() - self.mean) / self.spread).flatten(2)

    def restore(self, steps: Tensor) -> Tensor:
        """Undo ``forward``, (B, L, F * D) to (B, L, F, D)."""
        tokens = steps.float().reshape(*steps.shape[:2], *self.mean.shape)
        return tokens * self.spread + self.mean
