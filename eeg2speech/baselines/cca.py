from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import eigh

from eeg2speech.baselines.lagged_decoder import LaggedDecoder, Solution, inverse_spread
from eeg2speech.baselines.moments import Moments

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class CCA(LaggedDecoder):
    """Canonical correlation of lagged EEG and lagged speech features: the strong linear opponent.

    Reference: de Cheveigne et al. 2018, Decoding the auditory brain with canonical component analysis.

    Args:
        rate: Samples per second of EEG and features.
        factor: Samples that are averaged to one first: 2 halves the rate.
        components: Pairs of projections.
        eeg_lags: First and last lag of the EEG behind the sound in seconds, and the step in averaged samples.
        sound_lags: The same for the sound; its past is negative.
        strengths: Shrinkages to choose from on validation stretches.
    """

    def __init__(
        self,
        rate: float = 100.0,
        factor: int = 2,
        components: int = 16,
        eeg_lags: tuple[float, float, int] = (0.0, 0.24, 2),
        sound_lags: tuple[float, float, int] = (-0.12, 0.0, 2),
        strengths: Sequence[float] = STRENGTHS,
    ) -> None:
        super().__init__(rate, factor, eeg_lags, sound_lags, strengths)
        self.components = components

    def _solutions(self, train: Moments, strengths: Sequence[float]) -> Iterator[Solution]:
        x, y = inverse_spread(train.xx), inverse_spread(train.yy)
        eeg_values, eeg_vectors = eigh(train.xx * x[:, None] * x)
        sound_values, sound_vectors = eigh(train.yy * y[:, None] * y)
        cross = eeg_vectors.T @ (train.xy * x[:, None] * y) @ sound_vectors
        for strength in strengths:
            eeg_gain = 1 / np.sqrt(np.maximum(eeg_values, 0) + strength)
            sound_gain = 1 / np.sqrt(np.maximum(sound_values, 0) + strength)
            left, _, right = np.linalg.svd(cross * eeg_gain[:, None] * sound_gain, full_matrices=False)
            from_eeg = x[:, None] * (eeg_vectors @ (eeg_gain[:, None] * left[:, : self.components]))
            from_sound = y[:, None] * (sound_vectors @ (sound_gain[:, None] * right[: self.components].T))
            yield strength, from_eeg, from_sound
