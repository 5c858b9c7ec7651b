"""What a statistic is worth: its distribution when sounds are shuffled within their story."""

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
    """What the windows of one group score under every pairing with the group's sounds.

    Attributes:
        scores: Total score of the windows that heard sound u if it had been sound v, (U, U).
        windows: Number of windows.
    """

    scores: NDArray[np.float64]
    windows: int


@dataclass(frozen=True)
class Null:
    """A statistic, and its draws under shuffled pairings.

    Attributes:
        observed: With the true pairing.
        draws: With shuffled ones, (permutations,).
        windows: Windows that took part: those in a group with two different sounds or more. The others keep their
            sound, so that the statistic is always that of all windows.
        total: All windows.
    """

    observed: float
    draws: NDArray[np.float64]
    windows: int
    total: int

    @property
    def p(self) -> float:
        """One-sided p-value, (1 + draws as large as the observed) / (1 + draws)."""
        return float((1 + (self.draws >= self.observed - _ROUNDING).sum()) / (1 + len(self.draws)))

    @property
    def z(self) -> float:
        """Distance from the draws' mean in their standard deviations; NaN where all draws are equal."""
        spread = float(self.draws.std(ddof=1)) if len(self.draws) > 1 else 0.0
        return (self.observed - float(self.draws.mean())) / spread if spread > _ROUNDING else float("nan")

    @property
    def band(self) -> tuple[float, float]:
        """Where 95 % of the draws lie."""
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return float(low), float(high)

    @property
    def threshold(self) -> float:
        """99th percentile of the draws."""
        return float(np.quantile(self.draws, 0.99))

    @property
    def ratio(self) -> float:
        """Observed over the draws' mean."""
        mean = float(self.draws.mean())
        return self.observed / mean if mean else float("nan")


def retrieval_scores(comparison: Comparison, table: Table, group: Numbers | None = None) -> list[PairScores]:
    """Retrieval, EEG to sound in the whole gallery, under every pairing within groups.

    Args:
        comparison: Of the split.
        table: Statistic, e.g. ``top(10)`` or ``reciprocal()``.
        group: Of each window, (n,); see ``permutation_null``. The stimulus by default.
    """
    found = []
    worth = table(comparison.similarity.shape[1])
    for block in blocks(comparison, group):
        scores = np.zeros((len(block.sounds), len(block.sounds)))
        for first in range(0, len(block.rows), _ROWS):
            part = slice(first, first + _ROWS)
            above, tied = rank_every_sound(comparison.similarity[block.rows[part]], block.sounds)
            np.add.at(scores, block.own[part], expected(worth, above, tied))
        found.append(PairScores(scores, len(block.rows)))
    return found


def permutation_null(
    groups: Sequence[PairScores], permutations: int = 1000, seed: int = 0, shift: bool = False
) -> Null:
    """Shuffle which sound is which within each group; all windows of a sound get the same other one.

    With the story as the group all its listeners are shuffled alike, and each keeps to the sounds of the story. This
    matters: listeners of a sound resemble each other, and shuffling each on its own would take them for independent
    witnesses (groups of subject and story do that, and reject too often). The statistic is the mean over windows.

    Args:
        groups: From ``retrieval_scores`` or ``MatchMismatch.pairs``.
        permutations: Number of draws.
        seed: Of the draws; statistics with the same groups see the same shuffles.
        shift: Move the sounds of a group along in time, around its end, which keeps the resemblance of neighbours.
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
        if shift:
            other = (own + rng.integers(count, size=(permutations, 1))) % count
        else:
            other = rng.permuted(np.broadcast_to(own, (permutations, count)), axis=1)
        draws += group.scores[own, other].sum(axis=1)
    return Null(observed / max(total, 1), draws / max(total, 1), windows, total)
