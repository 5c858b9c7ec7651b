"""Windows of another length than the model's, cut from its step-resolved embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eeg2speech.metrics.comparison import Embeddings, Floats


def rewindow(embeddings: Embeddings, steps: int, step: float, length: int, hop: int) -> Embeddings:
    """Lay adjoining windows of each subject and stimulus end to end and cut them anew.

    Similarity is a mean over steps, so a window of five seconds is scored by a model of three: no step sees more than
    it did in its own window. Of windows that overlap the later one is left out; a new window never spans a
    gap.

    Args:
        embeddings: Time-resolved: K is ``steps`` times the width of a step, and each step has length 1 / sqrt(steps).
        steps: Steps of a window now.
        step: Duration of a step, in seconds.
        length: Steps of a new window.
        hop: Steps from one new window to the next.
    """
    pieces = []
    owner = np.stack([embeddings.subject, embeddings.stimulus], axis=1)
    for subject, stimulus in np.unique(owner, axis=0):
        rows = np.flatnonzero((owner == (subject, stimulus)).all(axis=1))
        for run in _runs(embeddings.start[rows], steps * step):
            order = rows[run]
            first = np.arange(0, len(order) * steps - length + 1, hop)
            both = [_cut(side[order], steps, length, first) for side in (embeddings.eeg, embeddings.sound)]
            begin = embeddings.start[order[0]] + first * step
            pieces.append((*both, np.full(len(first), subject), np.full(len(first), stimulus), begin))
    eeg, sound, who, what, start = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return Embeddings(eeg, sound, sound_keys(what, start), who, what, start)


def sound_keys(stimulus: NDArray[np.int64], start: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number sounds by stimulus and start to the millisecond, (n,)."""
    place = np.stack([stimulus, np.round(start * 1000).astype(np.int64)], axis=1)
    return np.unique(place, axis=0, return_inverse=True)[1].reshape(-1)


def _runs(start: NDArray[np.float64], duration: float) -> list[list[int]]:
    """Indices of windows that follow each other without a gap, run by run."""
    runs: list[list[int]] = []
    end = -np.inf
    for index in np.argsort(start, kind="stable").tolist():
        if start[index] < end - 1e-3:
            continue  # overlaps the one before
        if start[index] > end + 1e-3:
            runs.append([])
        runs[-1].append(index)
        end = start[index] + duration
    return runs


def _cut(windows: Floats, steps: int, length: int, first: NDArray[np.int64]) -> Floats:
    """Windows of ``length`` steps at the steps ``first``, (len(first), length * width)."""
    width = windows.shape[1] // steps
    stream = windows.reshape(len(windows) * steps, width) * np.float32(np.sqrt(steps / length))
    cut: Floats = stream[first[:, None] + np.arange(length)].reshape(len(first), length * width)
    return cut
