from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from eeg2speech.baselines.lagged_decoder import LaggedDecoder, Solution, inverse_spread, unit
from eeg2speech.baselines.moments import Floats, Moments, averaged, centred

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Reconstruction:
    """How well one stretch was reconstructed.

    Attributes:
        r: Pearson correlation of each feature with its reconstruction, (F,).
        null: The same against the feature shifted in a circle by every whole number of samples that is at least
            ``gap`` from no shift, (F, shifts).
    """

    r: NDArray[np.float64]
    null: NDArray[np.float64]

    @property
    def p(self) -> NDArray[np.float64]:
        """Share of shifts with at least this correlation, counting none at all as one of them, (F,)."""
        share: NDArray[np.float64] = (1 + (self.null >= self.r[:, None]).sum(axis=1)) / (1 + self.null.shape[1])
        return share


class BackwardTRF(LaggedDecoder):
    """Reconstructs speech features from lagged EEG by ridge regression: the usual linear decoder of the field.

    The ridge is a share of each lagged row's own variance, so the scale of a channel does not matter.

    Reference: Crosse et al. 2016, The multivariate temporal response function (mTRF) toolbox.

    Args:
        rate: Samples per second of EEG and features.
        factor: Samples that are averaged to one first: 2 halves the rate.
        reach: First and last lag of the EEG behind the sound, in seconds.
        strengths: Ridges to choose from on validation stretches.
    """

    def __init__(
        self,
        rate: float = 100.0,
        factor: int = 2,
        reach: tuple[float, float] = (0.0, 0.4),
        strengths: Sequence[float] = STRENGTHS,
    ) -> None:
        super().__init__(rate, factor, (*reach, 1), (0.0, 0.0, 1), strengths)

    def reconstruct(self, eeg: Floats, features: Floats, gap: float = 1.0) -> Reconstruction:
        """Reconstruct one stretch and compare with the truth.

        Args:
            eeg: (C, n).
            features: (F, n).
            gap: Seconds around no shift that the null leaves out.
        """
        guess = unit(centred(self.project_eeg(eeg)))
        truth = unit(centred(averaged(features, self.factor)))
        spectrum = np.fft.rfft(guess.astype(np.float64)) * np.conj(np.fft.rfft(truth.astype(np.float64)))
        circle = np.fft.irfft(spectrum, guess.shape[-1])  # correlation at every circular shift
        away = max(1, round(gap * self.rate / self.factor))
        return Reconstruction(circle[:, 0], circle[:, away : circle.shape[1] - away + 1])

    def _solutions(self, train: Moments, strengths: Sequence[float]) -> Iterator[Solution]:
        scale = inverse_spread(train.xx)
        values, vectors = eigh(train.xx * scale[:, None] * scale)
        rotated = vectors.T @ (train.xy * scale[:, None])
        for strength in strengths:
            inner = rotated / (np.maximum(values, 0) + strength)[:, None]
            yield strength, scale[:, None] * (vectors @ inner), np.eye(train.yy.shape[0])


def cross_validate(decoder: BackwardTRF, eeg: Floats, features: Floats, folds: int = 6) -> list[Reconstruction]:
    """Reconstruct each of several contiguous pieces of a recording from a decoder that has not seen it.

    The regulariser is chosen on the piece that follows (the first after the last); the decoder is then fitted on all
    but the tested piece.

    Args:
        decoder: Settings; what it was fitted to is overwritten.
        eeg: (C, n).
        features: (F, n).
        folds: Number of pieces, at least 3.
    """
    pieces = list(zip(np.array_split(eeg, folds, axis=1), np.array_split(features, folds, axis=1), strict=True))
    moments = [decoder.moments([piece]) for piece in pieces]
    results = []
    for test, piece in enumerate(pieces):
        chosen = (test + 1) % folds
        rest = [moments[fold] for fold in range(folds) if fold not in (test, chosen)]
        train = sum(rest[1:], rest[0])
        strength = decoder.fit_moments(train, moments[chosen]).strength
        everything = train + moments[chosen]
        results.append(decoder.fit_moments(everything, everything, (strength,)).reconstruct(*piece))
    return results
