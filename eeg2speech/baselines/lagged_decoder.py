"""What backward TRF and CCA have in common: projections of lagged EEG and lagged sound that should be correlated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eeg2speech.baselines.moments import Floats, Moments, averaged, centred, lagged
from eeg2speech.core.errors import ConfigError, DataError

Stretch = tuple[Floats, Floats]
"""EEG (C, n) and features (F, n) of the same stretch of time and at the same rate."""

Solution = tuple[float, NDArray[np.float64], NDArray[np.float64]]
"""A regulariser with its projections of lagged EEG, (P, K), and of lagged features, (Q, K)."""

_SHORTEST = 1e-9  # what rounding leaves of a flat row
_HIGHEST = 0.95  # a correlation above this would take all the weight


class LaggedDecoder(ABC):
    """Projects EEG and sound on K pairs of time courses and compares windows by the pairs' correlations.

    Stretches and windows are centred, and zero beyond their ends. Fitting keeps second moments only, so memory does
    not grow with the data; moments of several subjects may be added before ``fit_moments``.

    Args:
        rate: Samples per second of EEG and features.
        factor: Samples that are averaged to one before anything else.
        eeg_lags: First and last lag of the EEG behind the sound, in seconds, and the step between them in samples
            after averaging.
        sound_lags: The same for the sound; what lies in the past is negative.
        strengths: Regularisers to choose from, as shares of each lagged row's variance.
    """

    from_eeg: NDArray[np.float64]
    from_sound: NDArray[np.float64]
    weights: NDArray[np.float64]
    strength: float

    def __init__(
        self,
        rate: float,
        factor: int,
        eeg_lags: tuple[float, float, int],
        sound_lags: tuple[float, float, int],
        strengths: Sequence[float],
    ) -> None:
        if factor < 1 or rate / factor < 1:
            raise ConfigError(f"factor={factor} leaves {rate:g} Hz no samples; choose a smaller one (factor)")
        self.rate, self.factor, self.strengths = rate, factor, tuple(strengths)
        self.eeg_lags = _lags(eeg_lags, rate / factor)
        self.sound_lags = _lags(sound_lags, rate / factor)

    def moments(self, stretches: Iterable[Stretch]) -> Moments:
        """Accumulate what fitting needs.

        Raises:
            DataError: There is no stretch, or EEG and features differ in length.
        """
        total: Moments | None = None
        for eeg, features in stretches:
            if eeg.shape[-1] != features.shape[-1]:
                raise DataError(
                    f"EEG of {eeg.shape[-1]} samples with features of {features.shape[-1]}; cut both to one length"
                )
            one = Moments.of(self._lagged_eeg(eeg), self._lagged_sound(features))
            total = one if total is None else total + one
        if total is None:
            raise DataError("no stretch of EEG with sound to fit a linear decoder on; change data.split")
        return total

    def fit(self, train: Iterable[Stretch], validation: Iterable[Stretch]) -> Self:
        """Fit on training stretches and choose the regulariser on validation stretches."""
        return self.fit_moments(self.moments(train), self.moments(validation))

    def fit_moments(self, train: Moments, validation: Moments, strengths: Sequence[float] | None = None) -> Self:
        """Fit on training moments; regulariser and weights are taken from validation moments.

        Args:
            train: From ``moments``.
            validation: From ``moments``.
            strengths: Regularisers to choose from instead of the decoder's own.
        """
        best = -np.inf
        for strength, from_eeg, from_sound in self._solutions(train, strengths or self.strengths):
            r = np.clip(validation.correlations(from_eeg, from_sound), 0, _HIGHEST)
            information = -np.log1p(-np.square(r)).sum()
            if information > best:
                best, self.strength, self.from_eeg, self.from_sound = information, strength, from_eeg, from_sound
                # log-likelihood ratio of a pair belonging together, for two Gaussians with correlation r
                self.weights = r / (1 - np.square(r))
        if not self.weights.any():  # nothing was found: compare all pairs alike, which is chance
            self.weights = np.ones_like(self.weights)
        return self

    def project_eeg(self, eeg: Floats) -> NDArray[np.float32]:
        """Time courses of EEG, (..., C, T) to (..., K, T // factor)."""
        return np.asarray(self.from_eeg.T.astype(np.float32) @ self._lagged_eeg(eeg), np.float32)

    def project_sound(self, features: Floats) -> NDArray[np.float32]:
        """Time courses of features, (..., F, T) to (..., K, T // factor)."""
        return np.asarray(self.from_sound.T.astype(np.float32) @ self._lagged_sound(features), np.float32)

    def embed_eeg(self, windows: Floats) -> NDArray[np.float32]:
        """Unit vectors of EEG windows, (..., C, T) to (..., K * (T // factor)).

        The dot product with ``embed_sound`` is the weighted mean of the pairs' correlations over the window.
        """
        return self._embed(self.project_eeg(windows))

    def embed_sound(self, features: Floats) -> NDArray[np.float32]:
        """Unit vectors of the sound of windows, from its features, (..., F, T) to (..., K * (T // factor))."""
        return self._embed(self.project_sound(features))

    def _embed(self, courses: NDArray[np.float32]) -> NDArray[np.float32]:
        share = np.sqrt(self.weights / self.weights.sum())
        rows = unit(centred(courses)) * share[:, None].astype(np.float32)
        return unit(rows.reshape(*rows.shape[:-2], -1))  # again, for rows that are flat

    def _lagged_eeg(self, eeg: Floats) -> NDArray[np.float32]:
        return lagged(centred(averaged(eeg, self.factor)), self.eeg_lags)

    def _lagged_sound(self, features: Floats) -> NDArray[np.float32]:
        return lagged(centred(averaged(features, self.factor)), self.sound_lags)

    @abstractmethod
    def _solutions(self, train: Moments, strengths: Sequence[float]) -> Iterable[Solution]:
        """A solution for each regulariser."""


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows with unit length, (..., T); one that is zero stays zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    out: NDArray[np.float32] = np.zeros_like(rows)
    np.divide(rows, length, out=out, where=length > _SHORTEST)
    return out


def inverse_spread(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """One over the root of the diagonal, (P,); zero for a row that is always zero."""
    spread = np.sqrt(np.diag(moments))
    return np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)


def _lags(span: tuple[float, float, int], rate: float) -> list[int]:
    first, last, step = round(span[0] * rate), round(span[1] * rate), span[2]
    return list(range(first, last + 1, step))
