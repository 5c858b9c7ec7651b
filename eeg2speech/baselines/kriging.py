from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from eeg2speech.baselines.baseline import Baseline, Floats, Mask
from eeg2speech.baselines.ridge import spatial_covariance
from eeg2speech.baselines.selection import HiddenPatches, best_noise, held_out

_CHOOSE_ON = 24  # training windows; the minimum over the grid is flat
_CHUNK = 64  # windows transformed at once while fitting
_ITERATIONS = 1000  # a guard: 100 to 200 are usual


class Kriging(Baseline):
    """Conditional mean of a stationary space-time Gaussian given the visible samples: the best linear guess.

    The EEG is taken apart into spatial eigen-components; each has its own autocovariance over lags, and noise
    is added to every sample. The covariance of the visible samples is never built: conjugate gradients need
    only its product with a window, which is a projection onto the components and a convolution in time, so
    that any share of hidden samples costs milliseconds and no memory.

    Reference: Cressie and Wikle 2011, Statistics for spatio-temporal data, section 4.1.

    Args:
        patches: How patches will be hidden, for choosing the noise.
        grid: Noise variances to choose from on held-out training windows, over the mean channel variance.
        seed: Of the held-out windows and their masks.
        tolerance: Residual over right-hand side at which the solver stops; 1e-4 lowers errors by another 0.04 %.
    """

    def __init__(
        self,
        patches: HiddenPatches | None = None,
        grid: Sequence[float] = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        seed: int = 0,
        tolerance: float = 1e-2,
    ) -> None:
        self.patches = patches or HiddenPatches()
        self.grid = tuple(grid)
        self.seed = seed
        self.tolerance = tolerance

    def _learn(self, windows: Floats, positions: Floats) -> None:
        rng = np.random.default_rng(self.seed)
        train, choose = held_out(windows, _CHOOSE_ON, rng)
        self._fit_covariance(train)
        self.noise = best_noise(self._fill_with, choose, self.patches, self.grid, rng)
        self._fit_covariance(windows)

    def _fit_covariance(self, windows: Floats) -> None:
        """Spatial components, (C, C), and the spectrum of each one's autocovariance, (C, frequencies)."""
        covariance = spatial_covariance(windows)
        self.variance = np.trace(covariance) / len(covariance)
        _, self.components = np.linalg.eigh(covariance)
        samples = windows.shape[2]
        self.length = next_fast_len(2 * samples - 1, real=True)  # the circle is long enough not to wrap around
        power = np.zeros((len(covariance), self.length // 2 + 1))
        for start in range(0, len(windows), _CHUNK):
            parts = self.components.T @ windows[start : start + _CHUNK]
            power += np.square(np.abs(rfft(parts, self.length))).sum(axis=0)
        self.spectrum = _without_taper(power / (len(windows) * samples), samples, self.length)

    def _fill(self, window: NDArray[np.float64], hidden: Mask) -> NDArray[np.float64]:
        return self._fill_with(window, hidden, self.noise)

    def _fill_with(self, window: NDArray[np.float64], hidden: Mask, noise: float) -> NDArray[np.float64]:
        if self.variance == 0:  # flat training EEG: there is nothing to go by
            return np.zeros_like(window)
        visible = ~hidden
        residual = window.astype(np.float32)  # half the time, and the tolerance is far above its precision
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
        parts = rfft(components.T @ window, self.length)
        smooth = irfft(spectrum * parts, self.length)[:, : window.shape[1]]
        product: Floats = components @ smooth
        return product


def _without_taper(spectrum: NDArray[np.float64], samples: int, length: int) -> NDArray[np.float64]:
    """Undo the triangular taper that short windows put on the autocovariance, kept non-negative definite.

    Lag l is averaged over T - l products but divided by T; slow activity would look shorter than it is.
    """
    lag = np.minimum(np.arange(length), length - np.arange(length))
    covariance = irfft(spectrum, length) / np.maximum(1 - lag / samples, 1 / samples)
    unbiased: NDArray[np.float64] = np.maximum(rfft(covariance).real, 0)
    return unbiased
