"""Null distribution of a statistic: sounds are permuted within their stimulus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.metrics.comparison import Comparison, Numbers, blocks
from eeg2speech.metrics.ranks import Table, expected, rank_every_sound

_ROWS = 1024  # ranked at a time, which bounds memory
_ROUNDING = 1e-9  # sums in another order differ by less


@dataclass(frozen=True)
class PairScores:
    """Scores of the windows of one group under every pairing with the group's sounds.

    Attributes:
        scores: Total score of the windows of sound u if their sound were v, (U, U).
        windows: Number of windows.
    """

    scores: NDArray[np.float64]
    windows: int


@dataclass(frozen=True)
class Null:
    """A statistic and its draws under permuted pairings.

    Attributes:
        observed: Value with the true pairing.
        draws: Values with permuted pairings, (permutations,).
        windows: Number of windows in groups with two or more different sounds. The other windows keep their sound, so
            that the statistic is always that of all windows.
        total: Number of all windows.
    """

    observed: float
    draws: NDArray[np.float64]
    windows: int
    total: int

    @property
    def p(self) -> float:
        """One-sided p-value: (1 + number of draws at or above the observed value) / (1 + number of draws)."""
        return float((1 + (self.draws >= self.observed - _ROUNDING).sum()) / (1 + len(self.draws)))

    @property
    def z(self) -> float:
        """Distance from the mean of the draws in their standard deviations; NaN where all draws are equal."""
        spread = float(self.draws.std(ddof=1)) if len(self.draws) > 1 else 0.0
        return (self.observed - float(self.draws.mean())) / spread if spread > _ROUNDING else float("nan")

    @property
    def band(self) -> tuple[float, float]:
        """Central 95 % of the draws."""
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return float(low), float(high)

    @property
    def threshold(self) -> float:
        """99th percentile of the draws."""
        return float(np.quantile(self.draws, 0.99))

    @property
    def ratio(self) -> float:
        """Observed value over the mean of the draws."""
        mean = float(self.draws.mean())
        return self.observed / mean if mean else float("nan")


def retrieval_scores(comparison: Comparison, table: Table, group: Numbers | None = None) -> list[PairScores]:
    """Retrieval, EEG to sound in the whole gallery, under every pairing within groups.

    Args:
        comparison: Comparison of the split.
        table: Statistic, e.g. ``top(10)`` or ``reciprocal()``.
        group: Group of each window, (n,); see ``permutation_null``. The stimulus by default.
    """
    found = []
    values = table(comparison.similarity.shape[1])
    for block in blocks(comparison, group):
        scores = np.zeros((len(block.sounds), len(block.sounds)))
        for first in range(0, len(block.rows), _ROWS):
            part = slice(first, first + _ROWS)
            above, tied = rank_every_sound(comparison.similarity[block.rows[part]], block.sounds)
            np.add.at(scores, block.own[part], expected(values, above, tied))
        found.append(PairScores(scores, len(block.rows)))
    return found


def permutation_null(groups: Sequence[PairScores], permutations: int = 1000, seed: int = 0) -> Null:
    """Permute sounds within each group: all windows of a sound are assigned the same other sound.

    With the stimulus as the group, all subjects are permuted alike. Responses of different subjects to a sound are
    correlated; permuting each subject separately (groups by subject and stimulus) treats them as independent and
    makes the null anti-conservative. The statistic is the mean over windows.

    Args:
        groups: From ``retrieval_scores`` or ``MatchMismatch.pairs``.
        permutations: Number of permutations.
        seed: Seed of the permutations; statistics with the same groups get the same ones.
    """
    rng = np.random.default_rng(seed)
    total = sum(group.windows for group in groups)
    observed, windows = 0.0, 0
    draws = np.zeros(permutations)
    for group in groups:
        count = len(group.scores)
        own = np.arange(count)
        observed += float(np.trace(group.scores))
        windows += group.windows if count > 1 else 0
        other = rng.permuted(np.broadcast_to(own, (permutations, count)), axis=1)
        draws += group.scores[own, other].sum(axis=1)
    return Null(observed / max(total, 1), draws / max(total, 1), windows, total)
