"""The embeddings of a whole split, and the similarity of every EEG window with every sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Similarity of n EEG windows with the G different sounds that they heard.

    A similarity that is not a number counts as the lowest, so that a diverged model is never taken for a good one.

    Attributes:
        similarity: Of EEG window and sound, (n, G).
        target: Which sound each window heard, (n,).
        subject: Of each window, (n,).
        stimulus: Of each window, (n,).
        start: Of each sound, in seconds into its stimulus, (G,); NaN where not known.
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
    """Both sides' embeddings of n windows; the dot product of two is their similarity.

    Attributes:
        eeg: Unit vectors, (n, K).
        sound: Unit vectors, (n, K).
        key: Windows that hold the same sound have the same key, (n,).
        subject: Of each window, (n,).
        stimulus: Of each window, (n,).
        start: Of each window's sound, in seconds into its stimulus, (n,); NaN where not known.
    """

    eeg: Floats
    sound: Floats
    key: Numbers
    subject: Numbers
    stimulus: Numbers
    start: NDArray[np.float64]

    def gallery(self) -> tuple[NDArray[np.intp], Numbers]:
        """A window of each different sound, (G,), and which of them each window heard, (n,)."""
        _, first, target = np.unique(self.key, return_index=True, return_inverse=True)
        return first, target.reshape(-1)

    def compare(self) -> Comparison:
        """Compare every EEG window with every different sound."""
        first, target = self.gallery()
        similarity = self.eeg @ self.sound[first].T
        return Comparison(similarity, target, self.subject, self.stimulus, self.start[first])


@dataclass(frozen=True)
class Block:
    """The windows of one group (a story) and the sounds they heard, in the order of their start.

    Attributes:
        rows: Windows, (m,).
        sounds: Different sounds of the group, as columns of the similarity, (U,).
        own: Which of ``sounds`` each window heard, (m,).
    """

    rows: NDArray[np.intp]
    sounds: Numbers
    own: Numbers


def blocks(comparison: Comparison, group: Numbers | None = None) -> Iterator[Block]:
    """Windows group by group.

    Args:
        comparison: Of the whole split.
        group: Of each window, (n,); the stimulus by default.
    """
    group = comparison.stimulus if group is None else group
    for name in np.unique(group):
        rows = np.flatnonzero(group == name)
        sounds = np.unique(comparison.target[rows])
        sounds = sounds[np.argsort(comparison.start[sounds], kind="stable")]
        position = np.zeros(len(comparison.start), dtype=np.int64)
        position[sounds] = np.arange(len(sounds))
        yield Block(rows, sounds, position[comparison.target[rows]])
