"""Embeddings of a whole split, and the similarity of every EEG window with every sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Similarity of n EEG windows with the G different sounds that were presented in them.

    A similarity of NaN counts as the lowest, so that a diverged model does not score well by accident.

    Attributes:
        similarity: Of EEG window and sound, (n, G).
        target: Index of each window's sound, (n,).
        subject: Subject of each window, (n,).
        stimulus: Stimulus of each window, (n,).
        start: Start of each sound within its stimulus, in seconds, (G,); NaN where unknown.
    """

    similarity: Floats
    target: Numbers
    subject: Numbers
    stimulus: Numbers
    start: NDArray[np.float64]

    def __post_init__(self) -> None:
        clean = np.nan_to_num(self.similarity, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        object.__setattr__(self, "similarity", clean)


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of n windows of EEG and of their sounds; the dot product of two is their similarity.

    Attributes:
        eeg: Unit vectors, (n, K).
        sound: Unit vectors, (n, K).
        key: Identifies the sound of each window: windows with the same sound have the same key, (n,).
        subject: Subject of each window, (n,).
        stimulus: Stimulus of each window, (n,).
        start: Start of each window's sound within its stimulus, in seconds, (n,); NaN where unknown.
    """

    eeg: Floats
    sound: Floats
    key: Numbers
    subject: Numbers
    stimulus: Numbers
    start: NDArray[np.float64]

    def gallery(self) -> tuple[NDArray[np.intp], Numbers]:
        """The first window of each different sound, (G,), and the index of each window's sound among these, (n,)."""
        _, first, target = np.unique(self.key, return_index=True, return_inverse=True)
        return first, target.reshape(-1)

    def compare(self) -> Comparison:
        """Compare every EEG window with every different sound."""
        first, target = self.gallery()
        similarity = self.eeg @ self.sound[first].T
        return Comparison(similarity, target, self.subject, self.stimulus, self.start[first])


@dataclass(frozen=True)
class Block:
    """The windows of one group (by default a stimulus) and their sounds, ordered by start.

    Attributes:
        rows: Windows, (m,).
        sounds: Different sounds of the group, as columns of the similarity, (U,).
        own: Index of each window's sound in ``sounds``, (m,).
    """

    rows: NDArray[np.intp]
    sounds: Numbers
    own: Numbers


def blocks(comparison: Comparison, group: Numbers | None = None) -> Iterator[Block]:
    """Windows group by group.

    Args:
        comparison: Comparison of the whole split.
        group: Group of each window, (n,); the stimulus by default.
    """
    group = comparison.stimulus if group is None else group
    for name in np.unique(group):
        rows = np.flatnonzero(group == name)
        sounds = np.unique(comparison.target[rows])
        sounds = sounds[np.argsort(comparison.start[sounds], kind="stable")]
        position = np.zeros(len(comparison.start), dtype=np.int64)
        position[sounds] = np.arange(len(sounds))
        yield Block(rows, sounds, position[comparison.target[rows]])


def rewindow(embeddings: Embeddings, steps: int, step: float, length: int, hop: int) -> Embeddings:
    """Concatenate adjacent windows of each subject and stimulus and cut them into windows of another length.

    Similarity is a mean over steps, so that a model of three seconds can score a window of five: each step keeps the
    context of its own window. New windows have unit length. Of overlapping windows the later one is left out; no new
    window spans a gap.

    Args:
        embeddings: Time-resolved: K is ``steps`` times the width of a step.
        steps: Steps of a window.
        step: Duration of a step, in seconds.
        length: Steps of a new window.
        hop: Steps from one new window to the next.
    """
    cut = []
    owner = np.stack([embeddings.subject, embeddings.stimulus], axis=1)
    for subject, stimulus in np.unique(owner, axis=0):
        rows = np.flatnonzero((owner == (subject, stimulus)).all(axis=1))
        for run in _runs(embeddings.start[rows], steps * step):
            order = rows[run]
            first = np.arange(0, len(order) * steps - length + 1, hop)
            both = [_cut(side[order], steps, length, first) for side in (embeddings.eeg, embeddings.sound)]
            begin = embeddings.start[order[0]] + first * step
            cut.append((*both, np.full(len(first), subject), np.full(len(first), stimulus), begin))
    eeg, sound, subjects, stimuli, start = (np.concatenate(arrays) for arrays in zip(*cut, strict=True))
    # a sound is identified by its stimulus and its start to the millisecond
    place = np.stack([stimuli, np.round(start * 1000).astype(np.int64)], axis=1)
    key = np.unique(place, axis=0, return_inverse=True)[1].reshape(-1)
    return Embeddings(eeg, sound, key, subjects, stimuli, start)


def _runs(start: NDArray[np.float64], duration: float) -> list[list[int]]:
    """Indices of windows that follow each other without a gap, run by run."""
    runs: list[list[int]] = []
    end = -np.inf
    for index in np.argsort(start, kind="stable").tolist():
        if start[index] < end - 1e-3:
            continue  # overlaps the previous window
        if start[index] > end + 1e-3:
            runs.append([])
        runs[-1].append(index)
        end = start[index] + duration
    return runs


def _cut(windows: Floats, steps: int, length: int, first: NDArray[np.int64]) -> Floats:
    """Unit vectors of windows of ``length`` steps that start at the steps ``first``, (len(first), length * width)."""
    width = windows.shape[1] // steps
    stream = windows.reshape(len(windows) * steps, width)
    cut: Floats = stream[first[:, None] + np.arange(length)].reshape(len(first), length * width)
    norm = np.linalg.norm(cut, axis=1, keepdims=True)
    unit: Floats = np.divide(cut, norm, out=cut, where=norm > 0)
    return unit
