"""Baselines that copy or interpolate visible samples; only the channels' means are learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eeg2speech.baselines.baseline import Baseline, Floats, Mask, known_positions, patterns

SplineMatrix = Callable[[NDArray[np.float64], NDArray[np.intp]], NDArray[np.float64]]
_FEWEST = 3  # electrodes that a spherical spline needs
_CACHED = 4096  # visibility patterns kept, at C = 32 some 30 MB


class Mean(Baseline):
    """The training mean of each channel: NMSE 1 by definition."""

    def _learn(self, windows: Floats, positions: Floats) -> None:
        pass

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        return np.zeros_like(window)


class Nearest(Baseline):
    """The nearest electrode visible at the same time; the mean where none is, or the position is unknown."""

    def _learn(self, windows: Floats, positions: Floats) -> None:
        known = known_positions(positions)
        place = np.where(known[:, None], positions, 0.0)
        self.distance = np.linalg.norm(place[:, None] - place[None], axis=2)
        self.distance[~known] = self.distance[:, ~known] = np.inf

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        filled = np.zeros_like(window)
        for visible, samples in patterns(hidden):
            distance = np.where(visible, self.distance, np.inf)
            reached = np.isfinite(distance).any(axis=1)
            source = distance[reached].argmin(axis=1)
            filled[np.ix_(reached, samples)] = window[np.ix_(source, samples)]
        return filled


class Interpolation(Baseline):
    """Linear interpolation in time for each electrode, constant beyond its ends; the mean where it is never visible."""

    def _learn(self, windows: Floats, positions: Floats) -> None:
        pass

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        filled = np.zeros_like(window)
        time = np.arange(window.shape[1])
        for channel in np.flatnonzero(~hidden.all(axis=1)):
            visible = ~hidden[channel]
            filled[channel] = np.interp(time, time[visible], window[channel, visible])
        return filled


class Spline(Baseline):
    """Spherical splines from the electrodes visible at the same time; the mean where fewer than three are.

    Reference: Perrin et al. 1989, Spherical splines for scalp potential and current density mapping.

    Args:
        matrix: Computes the interpolation matrix, (C, visible), from positions in metres, (C, 3), and the
            indices of three or more visible electrodes; MNE-Python's by default.
    """

    def __init__(self, matrix: SplineMatrix | None = None) -> None:
        self.matrix = matrix

    def _learn(self, windows: Floats, positions: Floats) -> None:
        self.known = known_positions(positions)
        self.positions = positions[self.known].astype(np.float64)
        self.cache: dict[bytes, NDArray[np.float64]] = {}

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        filled = np.zeros_like(window)
        known = np.flatnonzero(self.known)
        for visible, samples in patterns(hidden):
            weights = self._weights(visible[known])
            if weights is not None:
                source = known[visible[known]]
                filled[np.ix_(known, samples)] = weights @ window[np.ix_(source, samples)]
        return filled

    def _weights(self, visible: Mask) -> NDArray[np.float64] | None:
        if visible.sum() < _FEWEST:
            return None
        key = visible.tobytes()
        if key not in self.cache:
            if len(self.cache) >= _CACHED:
                self.cache.clear()
            matrix = self.matrix or _mne_matrix()
            self.cache[key] = matrix(self.positions, np.flatnonzero(visible))
        return self.cache[key]


def _mne_matrix() -> SplineMatrix:
    from eeg2speech.data.electrodes.montage import spherical_spline  # imports mne, which takes a second

    matrix: SplineMatrix = spherical_spline
    return matrix
