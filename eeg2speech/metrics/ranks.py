"""Ranks with ties, and statistics of ranks in the whole gallery or in random galleries of a fixed size.

A tie counts as every order of the tied answers: a model with constant similarity is exactly at chance. Every statistic
is a table of the scores of ranks 1 to G; the score of a window is the mean of the table over its tied ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from eeg2speech.metrics.comparison import Floats, Numbers

TIE = 1e-6
"""Similarities this close are equal: matrix products of identical vectors differ in the last bits."""

_ROWS = 1024  # windows compared at a time, which bounds memory

Scores = NDArray[np.float64]
Table = Callable[[int], Scores]
"""Maps the size G of the gallery to the score of each rank, (G,)."""


@dataclass(frozen=True)
class Ranks:
    """Rank of the correct answer of each query in its gallery.

    Attributes:
        above: Number of wrong answers with a higher similarity, (n,).
        tied: Number of answers with the same similarity, including the correct one, (n,).
        size: Number of answers in the gallery, (n,).
    """

    above: Numbers
    tied: Numbers
    size: Numbers

    def __getitem__(self, rows: NDArray[np.generic]) -> Ranks:
        return Ranks(self.above[rows], self.tied[rows], self.size[rows])


def rank_sounds(similarity: Floats, target: Numbers) -> Ranks:
    """EEG to sound: rank of each window's sound among all different sounds.

    Args:
        similarity: Of EEG window and sound, (n, G).
        target: Index of each window's sound, (n,).
    """
    count, size = similarity.shape
    above, tied = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for first in range(0, count, _ROWS):
        part = slice(first, first + _ROWS)
        own = np.take_along_axis(similarity[part], target[part, None], axis=1)
        above[part] = (similarity[part] > own + TIE).sum(axis=1)
        tied[part] = (similarity[part] >= own - TIE).sum(axis=1) - above[part]
    return Ranks(above, tied, np.full(count, size))


def rank_eeg(similarity: Floats, target: Numbers, subject: Numbers) -> Ranks:
    """Sound to EEG: rank of each window for its sound among the EEG windows of the same subject.

    Other windows of the subject with the same sound are equally correct and are left out of the gallery.

    Args:
        similarity: Of EEG window and sound, (n, G).
        target: Index of each window's sound, (n,).
        subject: Subject of each window, (n,).
    """
    above, tied, size = (np.zeros(len(target), np.int64) for _ in range(3))
    for name in np.unique(subject):
        rows = np.flatnonzero(subject == name)
        for part in np.split(rows, range(_ROWS, len(rows), _ROWS)):
            columns = similarity[np.ix_(rows, target[part])]  # one for each window of the part
            wrong = target[rows, None] != target[part]
            own = similarity[part, target[part]]
            above[part] = ((columns > own + TIE) & wrong).sum(axis=0)
            tied[part] = ((columns >= own - TIE) & wrong).sum(axis=0) - above[part] + 1
            size[part] = wrong.sum(axis=0) + 1
    return Ranks(above, tied, size)


def rank_every_sound(similarity: Floats, sounds: Numbers) -> tuple[Numbers, Numbers]:
    """Rank that each of some sounds would have in each window's gallery if it were the window's sound.

    Args:
        similarity: Of EEG window and sound, (m, G).
        sounds: Columns to rank, (U,).

    Returns:
        Number of sounds with a higher similarity, (m, U), and with the same one, including itself, (m, U).
    """
    ordered = np.sort(similarity, axis=1)
    values = similarity[:, sounds]
    above, tied = np.zeros(values.shape, np.int64), np.zeros(values.shape, np.int64)
    for row, (line, value) in enumerate(zip(ordered, values, strict=True)):
        above[row] = len(line) - np.searchsorted(line, value + TIE, side="right")
        tied[row] = len(line) - np.searchsorted(line, value - TIE, side="left") - above[row]
    return above, tied


def top(k: int, gallery: int | None = None) -> Table:
    """Top-k accuracy: 1 for the first ``k`` ranks, else 0, or its expectation in a random gallery of fixed size.

    The number of higher-ranked sounds that are drawn into a random gallery is hypergeometric.
    """

    def table(size: int) -> Scores:
        rank = np.arange(1, size + 1)
        if gallery is None:
            return (rank <= k).astype(np.float64)
        drawn = np.arange(min(k, gallery))[:, None]
        others = _log_choose(rank - 1, drawn) + _log_choose(size - rank, gallery - 1 - drawn)
        probability: Scores = np.exp(others - _log_choose(size - 1, gallery - 1)).sum(axis=0)
        return probability

    return table


def reciprocal(gallery: int | None = None) -> Table:
    """1 / rank, or its expectation in a random gallery of fixed size."""

    def table(size: int) -> Scores:
        rank = np.arange(1.0, size + 1)
        if gallery is None:
            whole: Scores = 1 / rank
            return whole
        # summed over the number of higher-ranked sounds that are drawn (Vandermonde)
        none = np.exp(_log_choose(size - np.arange(1, size + 1), gallery) - _log_choose(size, gallery))
        drawn: Scores = size / (gallery * rank) * (1 - none)
        return drawn

    return table


def position(gallery: int | None = None) -> Table:
    """The rank itself, or its expectation in a random gallery of fixed size."""

    def table(size: int) -> Scores:
        share = 1.0 if gallery is None else (gallery - 1) / max(size - 1, 1)
        return 1 + np.arange(size, dtype=np.float64) * share

    return table


def expected(scores: Scores, above: Numbers, tied: Numbers) -> Scores:
    """Mean of a table of scores, (G,), over the ranks above + 1 to above + tied (any shape)."""
    total = np.concatenate([[0.0], np.cumsum(scores)])
    mean: Scores = (total[above + tied] - total[above]) / tied
    return mean


def score(ranks: Ranks, table: Table) -> Scores:
    """Score of each query, (n,)."""
    out = np.zeros(len(ranks.size))
    for size in np.unique(ranks.size):
        rows = ranks.size == size
        out[rows] = expected(table(int(size)), ranks.above[rows], ranks.tied[rows])
    return out


def chance(ranks: Ranks, table: Table) -> Scores:
    """Expected score of a constant model on each query, (n,)."""
    return score(Ranks(np.zeros_like(ranks.size), ranks.size, ranks.size), table)


def _log_choose(n: NDArray[np.int64] | int, k: NDArray[np.int64] | int) -> Scores:
    """Logarithm of the binomial coefficient, -inf for an impossible choice."""
    n, k = np.broadcast_arrays(n, k)
    possible = (k >= 0) & (k <= n)
    n, k = np.where(possible, n, 0), np.where(possible, k, 0)
    ways: Scores = np.where(possible, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)
    return ways
