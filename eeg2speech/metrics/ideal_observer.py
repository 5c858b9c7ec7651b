"""The ideal observer of a known response in Gaussian noise: a ceiling for every decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal.windows import dpss

from eeg2speech.metrics.comparison import Comparison
from eeg2speech.metrics.intervals import Interval, bootstrap_interval
from eeg2speech.metrics.ranks import chance, rank_sounds, score
from eeg2speech.metrics.retrieval import mean_tables

TAPERS, BANDWIDTH = 4, 2.5
"""Number of Slepian tapers of a window, and half of their bandwidth in multiples of the frequency resolution."""
RIDGE = 1e-6
"""Added to each power spectrum, as a share of its mean over channels; an average reference makes one direction zero."""

Signals = NDArray[np.float32]
Spectra = NDArray[np.complex64]


def multitaper(eeg: Signals, frequencies: int) -> Spectra:
    """Spectra of windows by taper, (n, frequencies, TAPERS, C), from the lowest frequency above 0 on.

    Args:
        eeg: Windows, (n, C, T).
        frequencies: Number of frequencies, at most T // 2.
    """
    tapers = dpss(eeg.shape[-1], BANDWIDTH, TAPERS).astype(np.float32)
    spectra = np.fft.rfft(eeg[:, None] * tapers[:, None], axis=-1)[..., 1 : frequencies + 1]
    return np.ascontiguousarray(spectra.transpose(0, 3, 1, 2), np.complex64)


@dataclass
class NoiseSpectra:
    """Cross-spectra of noise, summed over windows.

    Attributes:
        total: Sum over windows and tapers, (F, C, C); 0 before the first.
        count: Number of windows and tapers.
    """

    total: NDArray[np.complex128] | float = 0.0
    count: int = 0

    def add(self, noise: Spectra) -> None:
        """Add windows of noise without a response, (n, F, TAPERS, C)."""
        n, F, K, C = noise.shape
        rows = noise.transpose(1, 0, 2, 3).reshape(F, n * K, C)
        self.total = self.total + (rows.transpose(0, 2, 1) @ rows.conj()).astype(np.complex128)
        self.count += n * K


@dataclass(frozen=True)
class IdealObserver:
    """Log-likelihood of every candidate response in stationary Gaussian noise whose cross-spectra are known.

    No decoder of the same windows identifies responses better on average, except by the use of noise
    that is not stationary (Green and Swets 1966, Signal Detection Theory and Psychophysics).

    Attributes:
        precision: Inverse cross-spectra of the noise, (F, C, C).
    """

    precision: NDArray[np.complex64]

    @classmethod
    def fit(cls, noise: NoiseSpectra) -> IdealObserver | None:
        """Invert the cross-spectra of noise; None if they are of less than twice as many windows as channels."""
        if isinstance(noise.total, float) or noise.count < 2 * noise.total.shape[-1]:
            return None
        spectra = noise.total / noise.count
        C = spectra.shape[-1]
        level = np.trace(spectra, axis1=1, axis2=2).real / C
        spectra = spectra + (RIDGE * level + np.finfo(float).tiny)[:, None, None] * np.eye(C)
        return cls(np.linalg.inv(spectra).astype(np.complex64))

    def likelihoods(self, eeg: Spectra, responses: Spectra) -> Signals:
        """Log-likelihood of each response given each window, less that of no response, (n, G).

        Args:
            eeg: Spectra of windows, (n, F, TAPERS, C).
            responses: Spectra of the candidates, (G, F, TAPERS, C).
        """
        weighted = responses @ self.precision.transpose(0, 2, 1)[None]
        energy = (weighted * responses.conj()).real.sum(axis=(1, 2, 3))
        products = eeg.reshape(len(eeg), -1).conj() @ weighted.reshape(len(weighted), -1).T
        likelihoods: Signals = (2 * products.real - energy).astype(np.float32)
        return likelihoods


def share_of_ceiling(decoder: Comparison, ceiling: Comparison) -> dict[str, Interval]:
    """The share of the way from chance to a ceiling that a decoder reaches, by measure, such as ``top1`` and ``mrr``.

    Args:
        decoder: Windows and sounds as the decoder compares them.
        ceiling: The same windows and sounds, as the ceiling compares them.

    Returns:
        Ratios with paired intervals over stimuli: 0 at chance, 1 at the ceiling; NaN where the ceiling is at chance.
    """
    ranks = [rank_sounds(one.similarity, one.target) for one in (decoder, ceiling)]
    return {
        name: bootstrap_interval(
            *(score(rank, table) for rank in ranks), chance(ranks[0], table),
            statistic=lambda own, best, guess: (own - guess) / (best - guess), groups=decoder.stimulus,
        )
        for name, table in mean_tables().items()
    }  # fmt: skip
