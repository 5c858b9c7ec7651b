"""Second moments of lagged EEG and lagged speech features, from which linear decoders are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Floats = NDArray[np.floating[Any]]


@dataclass
class Moments:
    """Sums of products over samples, for P lagged EEG rows and Q lagged feature rows; those of stretches add up.

    Attributes:
        samples: Number of samples.
        xx: EEG with EEG, (P, P).
        xy: EEG with features, (P, Q).
        yy: Features with features, (Q, Q).
    """

    samples: int
    xx: NDArray[np.float64]
    xy: NDArray[np.float64]
    yy: NDArray[np.float64]

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.samples + other.samples, self.xx + other.xx, self.xy + other.xy, self.yy + other.yy)

    @classmethod
    def of(cls, eeg: Floats, features: Floats) -> Moments:
        """Moments of one stretch of lagged EEG, (P, n), and lagged features, (Q, n)."""
        # products in float32 are twice as fast; sums in float64 stay exact over many stretches
        xx, xy, yy = eeg @ eeg.T, eeg @ features.T, features @ features.T
        return cls(eeg.shape[1], xx.astype(np.float64), xy.astype(np.float64), yy.astype(np.float64))

    def correlations(self, from_eeg: Floats, from_sound: Floats) -> NDArray[np.float64]:
        """Correlation of pairs of projections, (K,): ``from_eeg`` (P, K) with ``from_sound`` (Q, K)."""
        product = np.einsum("pk,pq,qk->k", from_eeg, self.xy, from_sound, optimize=True)
        power = np.einsum("pk,pl,lk->k", from_eeg, self.xx, from_eeg, optimize=True)
        power *= np.einsum("qk,qr,rk->k", from_sound, self.yy, from_sound, optimize=True)
        r: NDArray[np.float64] = np.zeros(len(product))
        np.divide(product, np.sqrt(np.maximum(power, 0)), out=r, where=power > 0)
        return r


def ridge_path(xx: Floats, xy: Floats, penalties: Sequence[float]) -> Iterator[Floats]:
    """Weights of ridge regression, (P, Q), for each penalty, from one eigendecomposition.

    Args:
        xx: Products of the predictors, (P, P).
        xy: Products of predictors and targets, (P, Q).
        penalties: Values added to the diagonal of ``xx``.
    """
    values, vectors = eigh(xx, check_finite=False)
    rotated = vectors.T @ xy
    for penalty in penalties:
        yield vectors @ (rotated / (np.maximum(values, 0) + penalty)[:, None])


def lagged(signal: Floats, lags: Sequence[int]) -> NDArray[np.float32]:
    """Copies of a signal at several lags, with zeros beyond its ends.

    Args:
        signal: (..., C, T).
        lags: In samples; row block l holds ``signal[..., t + lags[l]]``.

    Returns:
        (..., len(lags) * C, T).
    """
    T = signal.shape[-1]
    out = np.zeros((*signal.shape[:-2], len(lags), *signal.shape[-2:]), np.float32)
    for block, lag in enumerate(lags):
        if abs(lag) < T:
            out[..., block, :, max(0, -lag) : T - max(0, lag)] = signal[..., max(0, lag) : T - max(0, -lag)]
    return out.reshape(*signal.shape[:-2], len(lags) * signal.shape[-2], T)


def centred(signal: Floats) -> NDArray[np.float32]:
    """Signal without its mean over time, (..., T), so that the zeros beyond its ends equal its mean."""
    return np.asarray(signal - signal.mean(axis=-1, keepdims=True, dtype=np.float64), np.float32)


def averaged(signal: Floats, factor: int) -> Floats:
    """Means over ``factor`` samples each, (..., T // factor): a lower rate with little aliasing."""
    T = signal.shape[-1] // factor
    means: Floats = signal[..., : T * factor].reshape(*signal.shape[:-1], T, factor).mean(axis=-1)
    return means
