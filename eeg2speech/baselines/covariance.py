"""Baselines that predict hidden samples from the covariance of the training EEG: ridge regression and kriging."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import solve

from eeg2speech.baselines.baseline import Baseline, Floats, Mask, patterns

_CHUNK = 64  # windows transformed at once in fitting
_ITERATIONS = 1000  # 100 to 200 are usual


@dataclass(frozen=True)
class HiddenPatches:
    """Rule by which patches are hidden.

    Attributes:
        electrodes: Consecutive electrodes in a patch.
        samples: Samples in a patch.
        ratio: Fraction of the patches that is hidden.
    """

    electrodes: int = 4
    samples: int = 16
    ratio: float = 0.8

    def draw(self, channels: int, samples: int, rng: np.random.Generator) -> Mask:
        """Hide random patches, all but at least one, (C, T); patches at the border may be cut."""
        groups, steps = -(-channels // self.electrodes), -(-samples // self.samples)
        visible = max(1, round(groups * steps * (1 - self.ratio)))
        hidden = np.ones(groups * steps, dtype=np.bool_)
        hidden[rng.permutation(groups * steps)[:visible]] = False
        grid = hidden.reshape(groups, steps)
        return grid.repeat(self.electrodes, axis=0).repeat(self.samples, axis=1)[:channels, :samples]


class CovarianceBaseline(Baseline):
    """A baseline with a noise variance that is chosen on held-out training windows, under masks like those of a test.

    Args:
        patches: Rule by which patches are hidden.
        grid: Noise variances to choose from, over the mean channel variance.
        seed: Seed of the held-out windows and their masks.
    """

    choose_on: int
    """Held-out windows at most; the minimum over the grid is flat."""
    noise: float

    def __init__(self, patches: HiddenPatches | None, grid: Sequence[float], seed: int) -> None:
        self.patches = patches or HiddenPatches()
        self.grid = tuple(grid)
        self.seed = seed

    def _learn(self, windows: Floats, positions: Floats) -> None:
        rng = np.random.default_rng(self.seed)
        train = chosen_on = windows  # a single window serves as both
        if len(windows) > 1:
            count = min(self.choose_on, max(1, len(windows) // 5))
            order = rng.permutation(len(windows))
            train, chosen_on = windows[order[count:]], windows[order[:count]]
        self._fit_covariance(train)
        errors = np.zeros(len(self.grid))
        for window in chosen_on:
            hidden = self.patches.draw(window.shape[0], window.shape[1], rng)
            visible = np.where(hidden, 0.0, window)
            for entry, noise in enumerate(self.grid):
                errors[entry] += np.square(self._fill_with(visible, hidden, noise) - window)[hidden].sum()
        self.noise = float(self.grid[int(errors.argmin())])
        self._fit_covariance(windows)

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        return self._fill_with(window, hidden, self.noise)

    @abstractmethod
    def _fit_covariance(self, windows: Floats) -> None:
        """Estimate the covariance from centred windows, (n, C, T)."""

    @abstractmethod
    def _fill_with(self, window: NDArray[np.float64], hidden: Mask, noise: float) -> NDArray[np.float64]:
        """Predict every hidden sample of a centred window, (C, T), that is zero where hidden."""


class Ridge(CovarianceBaseline):
    """Least squares from the electrodes that are visible at the same time; arguments as in ``CovarianceBaseline``."""

    choose_on = 64

    def __init__(
        self,
        patches: HiddenPatches | None = None,
        grid: Sequence[float] = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        seed: int = 0,
    ) -> None:
        super().__init__(patches, grid, seed)

    def _fit_covariance(self, windows: Floats) -> None:
        self.covariance = _spatial_covariance(windows)

    def _fill_with(self, window: NDArray[np.float64], hidden: Mask, noise: float) -> NDArray[np.float64]:
        filled = np.zeros_like(window)
        variance = np.trace(self.covariance) / len(self.covariance)
        if variance == 0:  # flat training EEG
            return filled
        for visible, samples in patterns(hidden):
            if visible.any():
                inner = self.covariance[np.ix_(visible, visible)] + noise * variance * np.eye(visible.sum())
                source = solve(inner, window[np.ix_(visible, samples)], assume_a="pos")
                filled[:, samples] = self.covariance[:, visible] @ source
        return filled


class Kriging(CovarianceBaseline):
    """Conditional mean of a stationary space-time Gaussian given the visible samples, the best linear prediction.

    The EEG is decomposed into spatial eigencomponents, each with its own autocovariance over lags, and white noise. The
    covariance matrix of the visible samples is not stored: conjugate gradients need only its product with a window,
    a projection on the components and a convolution in time.

    Reference: Cressie and Wikle 2011, Statistics for spatio-temporal data, section 4.1.

    Args:
        patches: See ``CovarianceBaseline``, as ``grid`` and ``seed``.
        grid: Noise variances.
        seed: Seed of the choice.
        tolerance: Residual over right-hand side at which the solver stops; 1e-4 lowers errors by another 0.04 %.
    """

    choose_on = 24

    def __init__(
        self,
        patches: HiddenPatches | None = None,
        grid: Sequence[float] = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        seed: int = 0,
        tolerance: float = 1e-2,
    ) -> None:
        super().__init__(patches, grid, seed)
        self.tolerance = tolerance

    def _fit_covariance(self, windows: Floats) -> None:
        """Spatial components, (C, C), and the spectrum of each one's autocovariance, (C, frequencies)."""
        covariance = _spatial_covariance(windows)
        self.variance = np.trace(covariance) / len(covariance)
        _, self.components = np.linalg.eigh(covariance)
        samples = windows.shape[2]
        self.length = next_fast_len(2 * samples - 1, real=True)  # long enough to avoid circular overlap
        power = np.zeros((len(covariance), self.length // 2 + 1))
        for start in range(0, len(windows), _CHUNK):
            courses = self.components.T @ windows[start : start + _CHUNK]
            power += np.square(np.abs(rfft(courses, self.length))).sum(axis=0)
        self.spectrum = _without_taper(power / (len(windows) * samples), samples, self.length)

    def _fill_with(self, window: NDArray[np.float64], hidden: Mask, noise: float) -> NDArray[np.float64]:
        if self.variance == 0:  # flat training EEG
            return np.zeros_like(window)
        visible = ~hidden
        residual = window.astype(np.float32)  # half the time, and far more precise than the tolerance
        weights = np.zeros_like(residual)
        direction = residual.copy()
        diagonal = np.float32(noise * self.variance)
        error = np.vdot(residual, residual)
        enough = self.tolerance**2 * error
        for _ in range(_ITERATIONS):
            if error <= enough:
                break
            image = visible * self._covary(direction) + diagonal * direction
            step = error / np.vdot(direction, image)
            weights += step * direction
            residual -= step * image
            previous, error = error, np.vdot(residual, residual)
            direction = residual + error / previous * direction
        return self._covary(weights).astype(np.float64)

    def _covary(self, window: Floats) -> Floats:
        """The covariance of all samples times a window, (C, T), in the window's precision."""
        components, spectrum = (x.astype(window.dtype, copy=False) for x in (self.components, self.spectrum))
        courses = rfft(components.T @ window, self.length)
        smooth = irfft(spectrum * courses, self.length)[:, : window.shape[1]]
        product: Floats = components @ smooth
        return product


def _spatial_covariance(windows: Floats) -> NDArray[np.float64]:
    """Covariance between the channels of centred windows, (n, C, T) to (C, C)."""
    flat = np.moveaxis(windows, 1, 0).reshape(windows.shape[1], -1)
    covariance: NDArray[np.float64] = (flat @ flat.T).astype(np.float64) / flat.shape[1]
    return covariance


def _without_taper(spectrum: NDArray[np.float64], samples: int, length: int) -> NDArray[np.float64]:
    """Correct the triangular taper of the autocovariance of short windows; the result is non-negative definite.

    Lag l is summed over T - l products but divided by T, which would shorten the autocovariance of slow activity.
    """
    lag = np.minimum(np.arange(length), length - np.arange(length))
    covariance = irfft(spectrum, length) / np.maximum(1 - lag / samples, 1 / samples)
    unbiased: NDArray[np.float64] = np.maximum(rfft(covariance).real, 0)
    return unbiased
