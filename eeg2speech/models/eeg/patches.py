"""Patches of a window of EEG: cutting, joining, and the choice of visible and hidden ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from eeg2speech.core.seeding import mix

Patch = tuple[int, int]
"""Electrodes and samples of one patch."""
MaskKind = Literal["random", "electrodes", "time"]
"""Which patches are hidden together: none, those of an electrode group, or those of a time step."""


def pad_channels(x: Tensor, electrodes: int, dim: int = 1) -> Tensor:
    """Append zeros along ``dim`` until its length is a multiple of ``electrodes``."""
    missing = -x.shape[dim] % electrodes
    return F.pad(x, [0, 0] * (x.ndim - dim - 1) + [0, missing]) if missing else x


def patchify(eeg: Tensor, patch: Patch) -> Tensor:
    """Cut an image into patches of neighbouring electrodes and samples.

    Args:
        eeg: (B, C, T); C is padded with zeros to a multiple of the patch.
        patch: Electrodes and samples of a patch; the samples must divide T.

    Returns:
        Patches, (B, G, L, electrodes * samples) for G electrode groups and L time steps.
    """
    electrodes, samples = patch
    eeg = pad_channels(eeg, electrodes)
    return rearrange(eeg, "b (g e) (l s) -> b g l (e s)", e=electrodes, s=samples)


def unpatchify(patches: Tensor, patch: Patch, channels: int) -> Tensor:
    """Join patches, (B, G, L, electrodes * samples), into an image, (B, channels, T)."""
    electrodes, samples = patch
    return rearrange(patches, "b g l (e s) -> b (g e) (l s)", e=electrodes, s=samples)[:, :channels]


@dataclass
class Masked:
    """A choice of visible and hidden patches. K visible, M hidden of N patches.

    Attributes:
        visible: Indices of visible patches, (B, K).
        visible_exists: False where ``visible`` is padding, (B, K); None if all exist.
        hidden: Indices of hidden patches in random order, (B, M).
        hidden_exists: False where ``hidden`` is padding, (B, M); None if all exist.
    """

    visible: Tensor
    visible_exists: Tensor | None
    hidden: Tensor
    hidden_exists: Tensor | None

    def first_hidden(self, share: float) -> Masked:
        """The same choice with a fraction of the hidden patches, at least one."""
        count = max(1, round(self.hidden.shape[1] * share))
        exists = None if self.hidden_exists is None else self.hidden_exists[:, :count]
        return Masked(self.visible, self.visible_exists, self.hidden[:, :count], exists)


def draw_noise(shape: tuple[int, int, int], kind: MaskKind, seeds: list[int] | None, device: torch.device) -> Tensor:
    """Random scores of patches; patches with the lowest scores stay visible.

    Args:
        shape: B, G electrode groups, L time steps.
        kind: ``random`` scores every patch by itself, ``electrodes`` whole electrode groups, ``time`` whole steps. One
            group or step may be hidden in part, to reach the exact ratio.
        seeds: One per window: its mask depends on the seed alone. None draws from the global generator.
        device: Where the scores are needed.

    Returns:
        (B, G * L); within a group or step the order is random, too.
    """
    B, G, L = shape
    block = {"random": (G, L), "electrodes": (G, 1), "time": (1, L)}[kind]
    noise = _uniform(B, block, seeds, device)
    if kind == "random":
        return noise.flatten(1)
    within = None if seeds is None else [mix(seed) for seed in seeds]
    order = _uniform(B, (G, L), within, device).flatten(1).argsort(1)
    noise = noise.expand(B, G, L).flatten(1)
    order = order.gather(1, noise.gather(1, order).argsort(dim=1, stable=True))
    return order.argsort(1).to(noise.dtype)


def _uniform(batch: int, shape: tuple[int, int], seeds: list[int] | None, device: torch.device) -> Tensor:
    """Numbers in [0, 1), (batch, *shape). The first rows of a window do not depend on the number of rows."""
    if seeds is None:
        return torch.rand(batch, *shape, device=device)
    generator = torch.Generator()
    drawn = [torch.rand(shape, generator=generator.manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(device)


def choose(noise: Tensor, ratio: float, exists: Tensor | None) -> Masked:
    """Choose the patches to hide.

    Args:
        noise: Scores, (B, N).
        ratio: Fraction of the existing patches to hide, in (0, 1); at least one is hidden and, of two or more, one
            stays visible.
        exists: False for patches without an electrode, (B, N); None if all exist.
    """
    N = noise.shape[1]
    if exists is None:
        order = noise.argsort(dim=1, stable=True)
        visible = min(N - 1, max(1, round(N * (1 - ratio))))
        return Masked(order[:, :visible], None, order[:, visible:], None)
    order = noise.masked_fill(~exists, float("inf")).argsort(dim=1, stable=True)
    counts = exists.sum(1)
    # in double precision: as many as without `exists`
    kept = (counts.double() * (1 - ratio)).round().long().clamp(min=1).minimum(counts - 1).clamp(min=0)
    gone = counts - kept
    place = torch.arange(N, device=noise.device)
    shown, hidden = place[: int(kept.max())], place[: int(gone.max())]
    # hidden patches of every window come first, so that a fraction of the columns is a fraction of each window
    behind = kept[:, None] + hidden
    return Masked(order[:, : len(shown)], shown < kept[:, None], order.gather(1, behind), hidden < gone[:, None])
