"""What clips are generated from."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Condition(NamedTuple):
    """What clips are generated from.

    Attributes:
        loa: LOA tokens, (B, L, F, D).
        latents: Scaled latents of the spectrogram that linear regression predicts, from which sampling starts if the
            sampler does not start from noise, (B, 8, 4 L, 16); None: there is none, and it starts from noise.
    """

    loa: Tensor
    latents: Tensor | None = None
