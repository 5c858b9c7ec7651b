from __future__ import annotations

from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

Patch = tuple[int, int]
"""Electrodes and samples of one patch."""


def pad_channels(x: Tensor, electrodes: int, dim: int = 1) -> Tensor:
    """Append zeros along ``dim`` until its length is a multiple of ``electrodes``."""
    missing = -x.shape[dim] % electrodes
    return F.pad(x, [0, 0] * (x.ndim - dim - 1) + [0, missing]) if missing else x


def patchify(eeg: Tensor, patch: Patch) -> Tensor:
    """Cut an image into patches of neighbouring electrodes and samples.

    Args:
        eeg: (B, C, T); C is filled up with zeros to a multiple of the patch.
        patch: Electrodes and samples of a patch; the samples must divide T.

    Returns:
        Patches, (B, G, L, electrodes * samples) for G electrode groups and L time steps.
    """
    electrodes, samples = patch
    eeg = pad_channels(eeg, electrodes)
    return rearrange(eeg, "b (g e) (l s) -> b g l (e s)", e=electrodes, s=samples)


def unpatchify(patches: Tensor, patch: Patch, channels: int) -> Tensor:
    """Put patches, (B, G, L, electrodes * samples), back into an image, (B, channels, T)."""
    electrodes, samples = patch
    return rearrange(patches, "b g l (e s) -> b (g e) (l s)", e=electrodes, s=samples)[:, :channels]
