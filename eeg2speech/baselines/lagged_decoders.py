"""Linear decoders: projections of lagged EEG and lagged sound that correlate with each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from eeg2speech.baselines.moments import Floats, Moments, averaged, centred, lagged, ridge_path
from eeg2speech.core.errors import ConfigError, DataError

Stretch = tuple[Floats, Floats]
"""EEG (C, n) and features (F, n) of the same stretch of time and at the same rate."""

Solution = tuple[float, NDArray[np.float64], NDArray[np.float64]]
"""A regulariser with its projections of lagged EEG, (P, K), and of lagged features, (Q, K)."""

_SHORTEST = 1e-9  # rounding errors of a flat row are shorter
_HIGHEST = 0.95  # a correlation above this would get all the weight


class LaggedDecoder(ABC):
    """Projects EEG and sound on K pairs of time courses and compares windows by the pairs' correlations.

    Stretches and windows are centred, and zero beyond their ends. Fitting keeps second moments only, so that memory
    does not grow with the data; moments of several subjects may be added before ``fit_moments``.

    Args:
        rate: Samples per second of EEG and features.
        factor: Number of samples that are averaged to one before any other step.
        eeg_lags: First and last lag of the EEG behind the sound, in seconds, and the step between lags in samples
            after averaging.
        sound_lags: The same for the sound; lags into the past are negative.
        strengths: Regularisers to choose from on validation stretches, as fractions of each lagged row's variance.
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
            raise ConfigError(f"factor={factor}: out of range at {rate:g} Hz; choose 1 to {int(rate)} (factor)")
        self.rate, self.factor, self.strengths = rate, factor, tuple(strengths)
        self.eeg_lags = _lags(eeg_lags, rate / factor)
        self.sound_lags = _lags(sound_lags, rate / factor)

    def moments(self, stretches: Iterable[Stretch]) -> Moments:
        """Accumulate the moments of stretches.

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

    def fit_moments(self, train: Moments, validation: Moments) -> Self:
        """Fit on training moments; regulariser and weights of the pairs are chosen on validation moments."""
        best = -np.inf
        for strength, from_eeg, from_sound in self._solutions(train):
            r = np.clip(validation.correlations(from_eeg, from_sound), 0, _HIGHEST)
            information = -np.log1p(-np.square(r)).sum()
            if information > best:
                best, self.strength, self.from_eeg, self.from_sound = information, strength, from_eeg, from_sound
                # log-likelihood ratio of matching against non-matching windows, for two Gaussians with correlation r
                self.weights = r / (1 - np.square(r))
        if not self.weights.any():  # no correlation above 0: equal weights, which is chance
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
        """Unit vectors of the features of windows, (..., F, T) to (..., K * (T // factor))."""
        return self._embed(self.project_sound(features))

    def _embed(self, courses: NDArray[np.float32]) -> NDArray[np.float32]:
        share = np.sqrt(self.weights / self.weights.sum())
        rows = _unit(centred(courses)) * share[:, None].astype(np.float32)
        return _unit(rows.reshape(*rows.shape[:-2], -1))  # again, as flat rows stay zero

    def _lagged_eeg(self, eeg: Floats) -> NDArray[np.float32]:
        return lagged(centred(averaged(eeg, self.factor)), self.eeg_lags)

    def _lagged_sound(self, features: Floats) -> NDArray[np.float32]:
        return lagged(centred(averaged(features, self.factor)), self.sound_lags)

    @abstractmethod
    def _solutions(self, train: Moments) -> Iterable[Solution]:
        """A solution for each regulariser."""


class BackwardTRF(LaggedDecoder):
    """Reconstructs speech features from lagged EEG by ridge regression, the usual linear decoder of the field.

    Reference: Crosse et al. 2016, The multivariate temporal response function (mTRF) toolbox.

    Args:
        rate: See ``LaggedDecoder``, as ``factor`` and ``strengths``.
        factor: 2 halves the rate.
        reach: First and last lag of the EEG behind the sound, in seconds.
        strengths: Ridge penalties.
    """

    def __init__(
        self,
        rate: float = 100.0,
        factor: int = 2,
        reach: tuple[float, float] = (0.0, 0.4),
        strengths: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
    ) -> None:
        super().__init__(rate, factor, (*reach, 1), (0.0, 0.0, 1), strengths)

    def _solutions(self, train: Moments) -> Iterator[Solution]:
        scale = _inverse_spread(train.xx)
        path = ridge_path(train.xx * scale[:, None] * scale, train.xy * scale[:, None], self.strengths)
        for strength, weights in zip(self.strengths, path, strict=True):
            yield strength, scale[:, None] * weights, np.eye(train.yy.shape[0])


class CCA(LaggedDecoder):
    """Canonical correlation analysis of lagged EEG and lagged speech features, the strongest linear baseline.

    Reference: de Cheveigne et al. 2018, Decoding the auditory brain with canonical component analysis.

    Args:
        rate: See ``LaggedDecoder``, as all but ``components``.
        factor: 2 halves the rate.
        components: Number of pairs of projections.
        eeg_lags: First, last and step.
        sound_lags: First, last and step.
        strengths: Shrinkages.
    """

    def __init__(
        self,
        rate: float = 100.0,
        factor: int = 2,
        components: int = 16,
        eeg_lags: tuple[float, float, int] = (0.0, 0.24, 2),
        sound_lags: tuple[float, float, int] = (-0.12, 0.0, 2),
        strengths: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    ) -> None:
        super().__init__(rate, factor, eeg_lags, sound_lags, strengths)
        self.components = components

    def _solutions(self, train: Moments) -> Iterator[Solution]:
        x, y = _inverse_spread(train.xx), _inverse_spread(train.yy)
        eeg_values, eeg_vectors = eigh(train.xx * x[:, None] * x)
        sound_values, sound_vectors = eigh(train.yy * y[:, None] * y)
        cross = eeg_vectors.T @ (train.xy * x[:, None] * y) @ sound_vectors
        for strength in self.strengths:
            eeg_gain = 1 / np.sqrt(np.maximum(eeg_values, 0) + strength)
            sound_gain = 1 / np.sqrt(np.maximum(sound_values, 0) + strength)
            left, _, right = np.linalg.svd(cross * eeg_gain[:, None] * sound_gain, full_matrices=False)
            from_eeg = x[:, None] * (eeg_vectors @ (eeg_gain[:, None] * left[:, : self.components]))
            from_sound = y[:, None] * (sound_vectors @ (sound_gain[:, None] * right[: self.components].T))
            yield strength, from_eeg, from_sound


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to unit length, (..., T); zero rows stay zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    out: NDArray[np.float32] = np.zeros_like(rows)
    np.divide(rows, length, out=out, where=length > _SHORTEST)
    return out


def _inverse_spread(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """One over the root of the diagonal, (P,); zero for rows of zeros."""
    spread = np.sqrt(np.diag(moments))
    return np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)


def _lags(span: tuple[float, float, int], rate: float) -> list[int]:
    first, last, step = round(span[0] * rate), round(span[1] * rate), span[2]
    return list(range(first, last + 1, step))
