"""Linear models of EEG and envelope: cross-validated reconstruction of the envelope, and responses to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.linalg import eigh, toeplitz

from eeg2speech.baselines.moments import ridge_path
from eeg2speech.core.progress import Track, silently
from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Store
from eeg2speech.quality.envelope import cached_envelopes
from eeg2speech.quality.timeline import RATE, Timeline, segments_with_stimulus, subject_timeline

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Ridge penalties to choose from, as fractions of the mean variance of the lagged EEG."""
COMPONENTS = 64
"""Number of principal components that replace a larger number of channels."""
RESPONSE = (-0.2, 0.6)
"""First and last lag of a response, in seconds after the sound."""
SUBJECTS = 20
"""Largest number of subjects in a mean response."""


@dataclass(frozen=True)
class Response:
    """Forward temporal response function of the envelope, averaged over subjects with the same electrodes.

    Attributes:
        lags: Seconds after the sound, (L,).
        weights: Standard deviations of EEG per standard deviation of the envelope, (C, L).
        positions: Positions of the electrodes in metres, head coordinates, NaN where unknown, (C, 3).
        subjects: Number of subjects.
        minutes: Minutes of sound, over all subjects.
    """

    lags: NDArray[np.float64]
    weights: NDArray[np.float64]
    positions: NDArray[np.float64]
    subjects: int
    minutes: float


def reconstruct(line: Timeline, lags: Sequence[int], shifts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Cross-validated correlation of the envelope with its reconstruction, for each shift of the envelope.

    The whole procedure, with its own decoders and penalties, is repeated for every shift. Shifting the envelope in the
    test fold only would make the null too narrow: folds depend on each other, as the test fold of one decoder is
    among the training folds of the others.

    Args:
        line: Data of one subject.
        lags: Lags of the EEG behind the sound, in samples, evenly spaced.
        shifts: Circular delays of the envelope in samples, (S,); 0 is the true alignment.

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
    samples = np.array([(line.fold == fold).sum() for fold in folds], float)
    result = np.zeros(len(shifts))
    for fold in range(len(folds)):  # with the penalty that is best in the other folds
        others = np.delete(r, fold, axis=0).mean(axis=0)
        result += samples[fold] * np.take_along_axis(r[fold], others.argmax(axis=0)[None], axis=0)[0]
    mean: NDArray[np.float64] = result / samples.sum()
    return mean


def response(line: Timeline, lags: Sequence[int], ridge: float = 1.0) -> NDArray[np.float64]:
    """Forward model: response of each channel to the envelope.

    Args:
        line: Data of one subject.
        lags: Lags of the EEG behind the sound, in samples, consecutive.
        ridge: Penalty as a fraction of the envelope's variance.

    Returns:
        Weights in standard deviations of EEG per standard deviation of the envelope, (C, len(lags)).
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


def response_lags() -> range:
    """Lags of a response in samples of a timeline."""
    return range(round(RESPONSE[0] * RATE), round(RESPONSE[1] * RATE) + 1)


def mean_response(store: Store, minutes: float = 5.0, track: Track = silently) -> Response | None:
    """Mean response to the sounds of a store (Crosse et al. 2016).

    Args:
        store: Prepared store.
        minutes: Largest number of minutes of sound per subject.
        track: Progress over subjects.

    Returns:
        The response of the most frequent set of electrodes, or None where no EEG has a sound.

    Raises:
        DataError: A file of the store is damaged.
    """
    envelopes = cached_envelopes(store)
    segments: dict[str, list[Segment]] = defaultdict(list)
    for (subject, _), own in segments_with_stimulus(store).items():
        segments[subject] += [segment for segment in own if envelopes(segment.stimulus) is not None]
    subjects = [subject for subject, own in segments.items() if own]
    groups: dict[tuple[str, ...], list[tuple[str, float, NDArray[np.float64]]]] = defaultdict(list)
    for subject in track(subjects[:SUBJECTS]):
        line = subject_timeline(store, segments[subject], minutes, envelopes)
        if line is not None:
            order = sorted(range(len(line.names)), key=lambda row: line.names[row])
            names = tuple(line.names[row] for row in order)
            weights = response(line, response_lags())[order]
            groups[names].append((segments[subject][0].recording, line.seconds, weights))
    if not groups:
        return None
    names, group = max(groups.items(), key=lambda item: len(item[1]))
    return Response(
        np.array(response_lags()) / RATE,
        np.mean([weights for _, _, weights in group], axis=0),
        electrode_places(store, group[0][0], names),
        len(group),
        sum(seconds for _, seconds, _ in group) / 60,
    )


def electrode_places(store: Store, recording: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Positions of a recording's channels in metres, NaN where unknown, (C, 3)."""
    known = {channel.name: (channel.x, channel.y, channel.z) for channel in store.channels(recording)}
    return np.array([known.get(name, (np.nan,) * 3) for name in names])


def compact(eeg: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signals, (C, n), or their first principal components where there are more than ``COMPONENTS`` channels."""
    if len(eeg) <= COMPONENTS:
        return eeg
    _, vectors = eigh((eeg @ eeg.T).astype(np.float64), subset_by_index=[len(eeg) - COMPONENTS, len(eeg) - 1])
    components: NDArray[np.float32] = vectors.T.astype(np.float32) @ eeg
    return components


def _block_toeplitz(eeg: NDArray[np.float32], lags: Sequence[int]) -> NDArray[np.float32]:
    """Products of EEG at any two lags, (L C, L C); each difference of lags is computed once."""
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
    """Correlations in the test fold for every penalty and shift, (penalties, S)."""
    train = [fold for fold in range(len(xx)) if fold != test]
    inner, target = np.sum([xx[fold] for fold in train], axis=0), np.sum([xy[fold] for fold in train], axis=0)
    variance = max(float(np.trace(inner)) / len(inner), 1e-12)
    r = []
    for weights in ridge_path(inner, target, [strength * variance for strength in STRENGTHS]):
        product = np.einsum("ps,ps->s", weights, xy[test], dtype=np.float64)
        predicted = np.einsum("ps,ps->s", weights, xx[test] @ weights, dtype=np.float64)
        bound = np.sqrt(np.maximum(predicted, 0) * np.maximum(power, 0))
        r.append(np.divide(product, bound, out=np.zeros_like(product), where=bound > 1e-12))
    return np.stack(r)
