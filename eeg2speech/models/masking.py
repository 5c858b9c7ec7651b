"""Which patches an autoencoder sees and which it has to fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

MaskKind = Literal["random", "electrodes", "time"]


@dataclass
class Masked:
    """A choice of visible and hidden patches. K visible, M hidden of N patches.

    Attributes:
        visible: Indices of visible patches, (B, K).
        visible_exists: False where ``visible`` is only filling, (B, K); None if all exist.
        hidden: Indices of hidden patches in random order, (B, M).
        hidden_exists: False where ``hidden`` is only filling, (B, M); None if all exist.
    """

    visible: Tensor
    visible_exists: Tensor | None
    hidden: Tensor
    hidden_exists: Tensor | None

    def first_hidden(self, share: float) -> Masked:
        """The same choice with only a part of the hidden patches, at least one."""
        count = max(1, round(self.hidden.shape[1] * share))
        exists = None if self.hidden_exists is None else self.hidden_exists[:, :count]
        return Masked(self.visible, self.visible_exists, self.hidden[:, :count], exists)


def draw_noise(shape: tuple[int, int, int], kind: MaskKind, seeds: list[int] | None, device: torch.device) -> Tensor:
    """Random scores of patches; those with the lowest stay visible.

    Args:
        shape: B, G electrode groups, L time steps.
        kind: ``random`` scores every patch by itself, ``electrodes`` whole electrode groups, ``time`` whole steps.
        seeds: One per window, which makes its mask a function of the seed alone; None draws from the global
            generator.
        device: Where the scores are needed.

    Returns:
        (B, G * L); within a block the order is random, too.
    """
    B, G, L = shape
    block = {"random": (G, L), "electrodes": (G, 1), "time": (1, L)}[kind]
    if seeds is None:
        noise, ties = torch.rand(B, *block, device=device), torch.rand(B, G, L, device=device)
    else:
        drawn = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            drawn.append((torch.rand(block, generator=generator), torch.rand(G, L, generator=generator)))
        noise, ties = (torch.stack(part).to(device) for part in zip(*drawn, strict=True))
    return (noise + 1e-4 * ties).flatten(1)


def choose(noise: Tensor, ratio: float, exists: Tensor | None) -> Masked:
    """Hide a share of the patches.

    Args:
        noise: Scores, (B, N).
        ratio: Share of the existing patches to hide, in (0, 1); at least one is hidden and one stays visible.
        exists: False for patches without an electrode, (B, N); None if all exist.
    """
    N = noise.shape[1]
    if exists is None:
        order = noise.argsort(1)
        visible = min(N - 1, max(1, round(N * (1 - ratio))))
        return Masked(order[:, :visible], None, order[:, visible:], None)
    order = noise.masked_fill(~exists, float("inf")).argsort(1)
    counts = exists.sum(1)
    kept = (counts * (1 - ratio)).round().long().clamp(min=1).minimum(counts - 1)
    most, least = int(kept.max()), int(kept.min())
    place = torch.arange(N, device=noise.device)
    shown = place[:most] < kept[:, None]
    masked = (place[least:] >= kept[:, None]) & (place[least:] < counts[:, None])
    return Masked(order[:, :most], shown, order[:, least:], masked)
