"""Choosing a baseline's regulariser on training windows alone, under the masks that it will meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.baselines.baseline import Floats, Mask

Fill = Callable[[NDArray[np.float64], Mask, float], NDArray[np.float64]]


@dataclass(frozen=True)
class HiddenPatches:
    """How patches are hidden.

    Attributes:
        electrodes: Consecutive electrodes in a patch.
        samples: Samples in a patch.
        ratio: Share of the patches that is hidden.
    """

    electrodes: int = 4
    samples: int = 16
    ratio: float = 0.8

    def draw(self, channels: int, samples: int, rng: np.random.Generator) -> Mask:
        """Hide patches at random but for at least one; those at the border may be cut: (C, T)."""
        groups, steps = -(-channels // self.electrodes), -(-samples // self.samples)
        visible = max(1, round(groups * steps * (1 - self.ratio)))
        hidden = np.ones(groups * steps, dtype=np.bool_)
        hidden[rng.permutation(groups * steps)[:visible]] = False
        grid = hidden.reshape(groups, steps)
        return grid.repeat(self.electrodes, axis=0).repeat(self.samples, axis=1)[:channels, :samples]


def held_out(windows: Floats, most: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Split training windows into those to learn from and up to a fifth, at most ``most``, to choose on.

    A single window has to serve as both.
    """
    if len(windows) == 1:
        return windows, windows
    count = min(most, max(1, len(windows) // 5))
    order = rng.permutation(len(windows))
    return windows[order[count:]], windows[order[:count]]


def best_noise(
    fill: Fill, windows: Floats, patches: HiddenPatches, grid: Sequence[float], rng: np.random.Generator
) -> float:
    """Entry of ``grid`` with the least squared error on hidden patches of centred windows, (n, C, T)."""
    errors = np.zeros(len(grid))
    for window in windows:
        hidden = patches.draw(window.shape[0], window.shape[1], rng)
        visible = np.where(hidden, 0.0, window)
        for entry, noise in enumerate(grid):
            errors[entry] += np.square(fill(visible, hidden, noise) - window)[hidden].sum()
    return float(grid[int(errors.argmin())])
