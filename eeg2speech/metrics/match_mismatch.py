"""Match-mismatch: which of a few sounds of a stimulus belongs to a window of EEG.

Every sound of a stimulus is the match of its own window and an imposter of others, so that the sound alone carries no
information. Candidates are scored one by one, so that their order does not matter; a tie counts as every order of the
tied sounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.metrics.comparison import Comparison, Floats, Numbers, blocks
from eeg2speech.metrics.null import PairScores
from eeg2speech.metrics.ranks import TIE, expected, top

_SLACK = 1e-6  # seconds of rounding in starts


@dataclass(frozen=True)
class Protocol:
    """Rule by which imposters are chosen.

    Attributes:
        name: Year of the challenge.
        duration: Duration of the challenge's windows, in seconds.
        candidates: Number of sounds to choose from.
        gap: Seconds between the match and its imposter, which follows the match or, at the end of the stimulus,
            precedes it (two candidates only). None: imposters are all sounds of the stimulus that do not overlap the
            match, and scores are exact expectations over their choice.
    """

    name: str
    duration: float
    candidates: int
    gap: float | None

    def __post_init__(self) -> None:
        if self.gap is not None and self.candidates != 2:
            raise ValueError(f"candidates={self.candidates}: a gap places one imposter (gap=None for more)")


PROTOCOL_2023 = Protocol("2023", duration=3.0, candidates=2, gap=1.0)
PROTOCOL_2024 = Protocol("2024", duration=5.0, candidates=5, gap=None)


@dataclass(frozen=True)
class MatchMismatch:
    """Accuracy under a protocol.

    Attributes:
        protocol: The protocol.
        duration: Duration of the windows that were used, in seconds.
        gap: Median of the gaps that were used, in seconds; None where the protocol has none.
        accuracy: Accuracy of each window, (n,); NaN where its stimulus has too few other sounds.
        chance: 1 / candidates.
        pairs: Scores under every pairing, for ``permutation_null``, of the windows that have an accuracy.
    """

    protocol: Protocol
    duration: float
    gap: float | None
    accuracy: NDArray[np.float64]
    chance: float
    pairs: list[PairScores]


def match_mismatch(
    comparison: Comparison, duration: float, protocol: Protocol, group: Numbers | None = None
) -> MatchMismatch:
    """Score a split under a protocol, with windows of the model's length.

    Args:
        comparison: Comparison of the split; imposters are its other sounds, whose starts limit the possible gaps.
        duration: Duration of its windows, in seconds.
        protocol: Rule by which imposters are chosen.
        group: Group of each window, (n,), from which its imposters come. The stimulus by default.
    """
    if not np.isfinite(comparison.start).all():
        raise ValueError("match-mismatch needs the start of each sound (Retrieval.update)")
    accuracy = np.full(len(comparison.target), np.nan)
    pairs, gaps = [], []
    for block in blocks(comparison, group):
        start = comparison.start[block.sounds]
        scores = match_scores(comparison.similarity[np.ix_(block.rows, block.sounds)], start, duration, protocol)
        accuracy[block.rows] = scores[np.arange(len(block.rows)), block.own]
        gaps += [real for real in _gaps(start, duration, protocol) if np.isfinite(real)]
        usable = np.asarray(np.isfinite(scores).all(axis=0))
        kept = usable[block.own]
        if kept.any():
            totals = np.zeros((len(usable), len(usable)))
            np.add.at(totals, block.own[kept], scores[kept])
            pairs.append(PairScores(totals[np.ix_(usable, usable)], int(kept.sum())))
    gap = None if protocol.gap is None or not gaps else float(np.median(gaps))
    return MatchMismatch(protocol, duration, gap, accuracy, 1 / protocol.candidates, pairs)


def match_scores(
    similarity: Floats, start: NDArray[np.float64], duration: float, protocol: Protocol
) -> NDArray[np.float64]:
    """Probability that a sound, taken as the match, is more similar than its imposters.

    Args:
        similarity: Of the EEG windows and the sounds of one stimulus, (m, U).
        start: Starts of the sounds, in seconds, (U,).
        duration: Duration of the sounds, in seconds.
        protocol: Rule by which imposters are chosen.

    Returns:
        For each EEG window and each sound taken as its match, (m, U); NaN where there are too few imposters.
    """
    scores = np.full(similarity.shape, np.nan)
    for match in range(len(start)):
        rivals = imposters(start, match, duration, protocol)
        if len(rivals) < protocol.candidates - 1:
            continue
        target = similarity[:, match, None]
        above = (similarity[:, rivals] > target + TIE).sum(axis=1)
        tied = (similarity[:, rivals] >= target - TIE).sum(axis=1) - above + 1
        table = top(1, protocol.candidates)(len(rivals) + 1)
        scores[:, match] = expected(table, above, tied)
    return scores


def imposters(start: NDArray[np.float64], match: int, duration: float, protocol: Protocol) -> Numbers:
    """Indices of the imposters of a match: the sound at the gap, or all that do not overlap it; may be empty.

    Args:
        start: Starts of the sounds of one stimulus, in seconds, (U,).
        match: Index of the match.
        duration: Duration of the sounds, in seconds.
        protocol: Rule by which imposters are chosen.
    """
    away = start - start[match]
    if protocol.gap is None:
        return np.flatnonzero(np.abs(away) >= duration - _SLACK)
    distance = duration + protocol.gap - _SLACK
    after, before = np.flatnonzero(away >= distance), np.flatnonzero(away <= -distance)
    if len(after):
        return after[[away[after].argmin()]]
    return before[[away[before].argmax()]] if len(before) else before


def _gaps(start: NDArray[np.float64], duration: float, protocol: Protocol) -> list[float]:
    """Time between each sound and its imposter, in seconds; NaN where it has none."""
    if protocol.gap is None:
        return []
    chosen = [imposters(start, match, duration, protocol) for match in range(len(start))]
    return [
        abs(float(start[rival[0]] - start[match])) - duration if len(rival) else float("nan")
        for match, rival in enumerate(chosen)
    ]
