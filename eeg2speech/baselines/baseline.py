from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


class Baseline(ABC):
    """Predicts the hidden samples of a window without a network.

    A baseline gets windows without the training mean of each channel and with zeros instead of hidden samples.
    """

    mean: NDArray[np.float64]
    samples: int

    def fit(self, windows: Floats, positions: Floats) -> Self:
        """Learn from training windows of one montage.

        Args:
            windows: Training EEG, (n, C, T).
            positions: Electrode positions in metres, (C, 3); zero or NaN where unknown.
        """
        self.mean = windows.mean(axis=(0, 2), dtype=np.float64)
        self.samples = windows.shape[2]
        self._learn(windows - self.mean[:, None].astype(windows.dtype), positions)
        return self

    def fit_untrained(self, positions: Floats, samples: int) -> Self:
        """Fit for a montage without training windows: the mean is zero."""
        return self.fit(np.zeros((1, len(positions), samples)), positions)

    def predict(self, window: Floats, hidden: Mask) -> NDArray[np.float64]:
        """Predict the hidden samples of a window.

        Args:
            window: EEG, (C, T); its hidden samples are not used.
            hidden: True where a sample is hidden, (C, T).

        Returns:
            The window with its visible samples unchanged, (C, T).
        """
        expected = (len(self.mean), self.samples)
        if window.shape != expected or hidden.shape != expected:
            raise ValueError(f"window {window.shape} and hidden {hidden.shape} differ from training {expected}")
        mean = self.mean[:, None]
        visible = np.where(hidden, 0.0, window - mean)
        return np.where(hidden, self._fill(visible, hidden) + mean, window)

    @abstractmethod
    def _learn(self, windows: Floats, positions: Floats) -> None:
        """Learn from centred windows, (n, C, T), and positions, (C, 3)."""

    @abstractmethod
    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        """Predict every hidden sample of a centred window, (C, T), that is zero where hidden."""


def patterns(hidden: Mask) -> Iterator[tuple[Mask, NDArray[np.intp]]]:
    """Samples grouped by which electrodes are visible: yields visible (C,) and the samples' indices."""
    codes = np.ascontiguousarray(np.packbits(hidden, axis=0).T)
    _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    for pattern, sample in enumerate(first):
        yield ~hidden[:, sample], np.flatnonzero(group == pattern)


def known_positions(positions: Floats) -> Mask:
    """Which electrodes have a position: finite and not the origin, (C,)."""
    known: Mask = np.isfinite(positions).all(axis=1) & (positions != 0).any(axis=1)
    return known
