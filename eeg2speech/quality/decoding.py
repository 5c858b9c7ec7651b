"""Cross-validated reconstruction of an envelope from EEG, for the true alignment and for many false ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.linalg import eigh, toeplitz

from eeg2speech.quality.timeline import Timeline

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Ridges to choose from, as shares of the mean variance of the lagged EEG."""
COMPONENTS = 64
"""Principal components that stand for more channels than that."""


def reconstruct(line: Timeline, lags: Sequence[int], shifts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Correlation of envelope and reconstruction in folds unseen by the decoder, for each shift of the envelope.

    For every shift the whole procedure is run anew, with its own decoders and ridges. Shifting only what is tested
    would make chance look narrower than it is: the folds' results depend on each other, as what one is tested on
    others are trained on, which counts every chance resemblance twice.

    Args:
        line: One subject's data.
        lags: Of the EEG behind the sound, in samples, evenly spaced.
        shifts: By how many samples the envelope is delayed in a circle, (S,); 0 is the true alignment.

    Returns:
        Mean correlation over folds, weighted by their length, (S,).
    """
    folds = [fold for fold in range(int(line.fold.max()) + 1) if (line.fold == fold).any()]
    eeg = compact(line.eeg)
    sound, power = np.conj(rfft(line.envelope)), np.conj(rfft(line.envelope.astype(np.float64) ** 2))
    n = len(line.envelope)
    at = (shifts[None, :] + np.asarray(lags)[:, None]) % n
    xx, xy, yy = [], [], []
    for fold in folds:
        inside = line.fold == fold
        own = np.where(inside, eeg, 0)
        crossed = irfft(rfft(own, axis=1) * sound, n, axis=1)
        xy.append(crossed[:, at].transpose(1, 0, 2).reshape(-1, len(shifts)).astype(np.float32))
        xx.append(_block_toeplitz(own, lags))
        yy.append(irfft(rfft(inside.astype(np.float64)) * power, n)[shifts % n])
    r = np.stack([_held_out(xx, xy, yy[fold], fold) for fold in range(len(folds))])
    seconds = np.array([(line.fold == fold).sum() for fold in folds], float)
    result = np.zeros(len(shifts))
    for fold in range(len(folds)):  # the ridge that serves the other folds best
        others = np.delete(r, fold, axis=0).mean(axis=0)
        result += seconds[fold] * np.take_along_axis(r[fold], others.argmax(axis=0)[None], axis=0)[0]
    mean: NDArray[np.float64] = result / seconds.sum()
    return mean


def response(line: Timeline, lags: Sequence[int], ridge: float = 1.0) -> NDArray[np.float64]:
    """Forward model: how each channel responds to the envelope.

    Args:
        line: One subject's data.
        lags: Of the EEG behind the sound, in samples, consecutive.
        ridge: Regulariser as a share of the envelope's variance.

    Returns:
        Weights in standard deviations of EEG per standard deviation of envelope, (C, len(lags)).
    """
    n = len(line.envelope)
    sound = rfft(line.envelope.astype(np.float64))
    crossed = irfft(rfft(line.eeg, axis=1) * np.conj(sound), n, axis=1)[:, np.asarray(lags) % n]
    own = irfft(np.abs(sound) ** 2, n)
    if own[0] <= 0:
        return np.zeros_like(crossed)
    inner = toeplitz(own[: len(lags)]) + ridge * own[0] * np.eye(len(lags))
    spread = np.sqrt(own[0] / max(int((line.envelope != 0).sum()), 1))
    weights: NDArray[np.float64] = np.linalg.solve(inner, crossed.T).T * spread
    return weights


def compact(eeg: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signals of many channels, (C, n), as their first principal components."""
    if len(eeg) <= COMPONENTS:
        return eeg
    _, vectors = eigh((eeg @ eeg.T).astype(np.float64), subset_by_index=[len(eeg) - COMPONENTS, len(eeg) - 1])
    components: NDArray[np.float32] = vectors.T.astype(np.float32) @ eeg
    return components


def _block_toeplitz(eeg: NDArray[np.float32], lags: Sequence[int]) -> NDArray[np.float32]:
    """Products of EEG at any two lags, (L C, L C), each pair of lags with the same difference computed once."""
    C, n = eeg.shape
    blocks = {lag - lags[0]: eeg[:, lag - lags[0] :] @ eeg[:, : n - lag + lags[0]].T for lag in lags}
    out = np.empty((len(lags), C, len(lags), C), np.float32)
    for i, one in enumerate(lags):
        for j, other in enumerate(lags):
            out[i, :, j] = blocks[one - other] if one >= other else blocks[other - one].T
    return out.reshape(len(lags) * C, -1)


def _held_out(
    xx: list[NDArray[np.float32]], xy: list[NDArray[np.float32]], power: NDArray[np.float64], test: int
) -> NDArray[np.float64]:
    """Correlations in one fold for every ridge and shift, (ridges, S)."""
    rest = [fold for fold in range(len(xx)) if fold != test]
    inner = np.sum([xx[fold] for fold in rest], axis=0)
    values, vectors = eigh(inner, overwrite_a=True, check_finite=False)
    target = vectors.T @ np.sum([xy[fold] for fold in rest], axis=0)
    tested, held = vectors.T @ xx[test] @ vectors, vectors.T @ xy[test]
    mean = max(float(values.mean()), 1e-12)
    r = []
    for strength in STRENGTHS:
        weights = target / (np.maximum(values, 0) + strength * mean)[:, None]
        along = np.einsum("ps,ps->s", weights, held, dtype=np.float64)
        guessed = np.einsum("ps,ps->s", weights, tested @ weights, dtype=np.float64)
        bound = np.sqrt(np.maximum(guessed, 0) * np.maximum(power, 0))
        r.append(np.divide(along, bound, out=np.zeros_like(along), where=bound > 1e-12))
    return np.stack(r)
