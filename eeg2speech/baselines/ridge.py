from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from eeg2speech.baselines.baseline import Baseline, Floats, Mask, patterns
from eeg2speech.baselines.selection import HiddenPatches, best_noise, held_out

_CHOOSE_ON = 64  # training windows; the minimum over the grid is flat


class Ridge(Baseline):
    """Least squares from the electrodes visible at the same time, by the training EEG's spatial covariance.

    Args:
        patches: How patches will be hidden, for choosing the regulariser.
        grid: Regularisers to choose from on held-out training windows, over the mean channel variance.
        seed: Of the held-out windows and their masks.
    """

    def __init__(
        self,
        patches: HiddenPatches | None = None,
        grid: Sequence[float] = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        seed: int = 0,
    ) -> None:
        self.patches = patches or HiddenPatches()
        self.grid = tuple(grid)
        self.seed = seed

    def _learn(self, windows: Floats, positions: Floats) -> None:
        rng = np.random.default_rng(self.seed)
        train, choose = held_out(windows, _CHOOSE_ON, rng)
        self.covariance = spatial_covariance(train)
        self.noise = best_noise(self._fill_with, choose, self.patches, self.grid, rng)
        self.covariance = spatial_covariance(windows)

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        return self._fill_with(window, hidden, self.noise)

    def _fill_with(self, window: NDArray[np.float64], hidden: Mask, noise: float) -> NDArray[np.float64]:
        filled = np.zeros_like(window)
        variance = np.trace(self.covariance) / len(self.covariance)
        if variance == 0:  # flat training EEG: there is nothing to go by
            return filled
        for visible, samples in patterns(hidden):
            if visible.any():
                inner = self.covariance[np.ix_(visible, visible)] + noise * variance * np.eye(visible.sum())
                source = solve(inner, window[np.ix_(visible, samples)], assume_a="pos")
                filled[:, samples] = self.covariance[:, visible] @ source
        return filled


def spatial_covariance(windows: Floats) -> NDArray[np.float64]:
    """Covariance between the channels of centred windows, (n, C, T) to (C, C)."""
    flat = np.moveaxis(windows, 1, 0).reshape(windows.shape[1], -1)
    covariance: NDArray[np.float64] = (flat @ flat.T).astype(np.float64) / flat.shape[1]
    return covariance
