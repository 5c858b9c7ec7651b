"""Time in a recording: stretches of samples, and the clock of a recording that was interrupted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.types import RawRecording, Segment

PAUSE = "behind a pause of unknown length, or too short beside a pause"
UNRECORDED = "played while nothing was recorded"
"""Reasons for which parts of segments are lost, as ``dropped.tsv`` names them."""

Stretch = tuple[int, int]
"""The first sample of a stretch and the sample after its last one."""


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Sort stretches and join those that overlap or touch."""
    joined: list[Stretch] = []
    for first, stop in sorted(stretches):
        if joined and first <= joined[-1][1]:
            before, end = joined.pop()
            first, stop = before, max(end, stop)
        joined.append((first, stop))
    return joined


def runs(mask: NDArray[np.bool_]) -> list[Stretch]:
    """Stretches in which a mask, (samples,), is true."""
    borders = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(stop)) for first, stop in borders.reshape(-1, 2)]


def are_outside(starts: Sequence[float], stretches: Iterable[tuple[float, float]]) -> list[bool]:
    """Whether each position lies outside of all stretches, which do not overlap."""
    ordered = sorted(stretches)
    firsts = [first for first, _ in ordered]
    before = [bisect_right(firsts, start) for start in starts]
    return [not at or ordered[at - 1][1] <= start for at, start in zip(before, starts, strict=True)]


@dataclass(frozen=True)
class Clock:
    """Converts between clock time, which includes interruptions, and sample time, in which blocks follow end to end.

    Attributes:
        starts: Seconds of samples before each block, then of all blocks, (blocks + 1,).
        lost: Unrecorded seconds before each block, as far as they are known, (blocks,).
        known: Whether the length of the interruption before each block is known, (blocks,).
        held: Whether each block holds a signal, (blocks,).
        tolerance: Half a sample, in seconds.
    """

    starts: tuple[float, ...]
    lost: tuple[float, ...]
    known: tuple[bool, ...]
    held: tuple[bool, ...]
    tolerance: float

    @classmethod
    def of(cls, raw: RawRecording) -> Clock:
        """Clock of a recording."""
        starts = tuple(sample / raw.rate for sample in (0, *raw.breaks, raw.eeg.shape[1]))
        # the samples of a gap count as time, so no time is lost at its edges
        edges = {edge for gap in raw.gaps for edge in gap}
        known = (True, *(at in raw.unrecorded or at in edges for at in raw.breaks))
        lost = tuple(accumulate((0.0, *(raw.unrecorded.get(at, 0.0) for at in raw.breaks))))
        return cls(starts, lost, known, tuple(are_outside([0, *raw.breaks], raw.gaps)), 0.5 / raw.rate)

    @property
    def seconds(self) -> float:
        """Length of the recording, including interruptions of known length."""
        return self.starts[-1] + self.lost[-1]

    def at(self, seconds: float) -> float:
        """Convert sample time to clock time."""
        return seconds + self.lost[self._block(self.starts[:-1], seconds)]

    def follows(self, one: float, other: float) -> bool:
        """Whether every interruption between two clock times has a known length."""
        first, last = sorted(self._block(self._begins, time) for time in (one, other))
        return all(self.known[first + 1 : last + 1])

    def recorded(self, segments: Iterable[Segment], shortest: float) -> tuple[list[Segment], dict[str, float]]:
        """Cut segments at interruptions; in each part, EEG and sound stay aligned.

        A segment continues after an interruption of known length. After one of unknown length it continues only if it
        has no sound, label or text, because the rest of these cannot be located.

        Args:
            segments: In clock time.
            shortest: Shorter parts are dropped (seconds); an uncut segment is kept whatever its length.

        Returns:
            Parts in sample time, in the order of the segments; and the seconds that were lost, by reason.
        """
        parts: list[Segment] = []
        lost = {PAUSE: 0.0, UNRECORDED: 0.0}
        for segment in segments:
            found, unplaced = self._parts(segment)
            kept = [part for part in found if part.duration >= shortest or part.duration == segment.duration]
            there = sum(part.duration for part in found)
            lost[PAUSE] += unplaced + there - sum(part.duration for part in kept)
            lost[UNRECORDED] += 0.0 if _is_uniform(segment) else segment.duration - there - unplaced
            parts += kept
        return parts, lost

    @property
    def _begins(self) -> list[float]:
        """Clock time at which each block begins."""
        return [start + lost for start, lost in zip(self.starts, self.lost, strict=False)]

    def _parts(self, segment: Segment) -> tuple[list[Segment], float]:
        """Parts of a segment, and the seconds of it that cannot be located."""
        begins = self._begins
        ends = [end + lost for (_, end), lost in zip(pairwise(self.starts), self.lost, strict=True)]
        start, end = segment.onset, segment.onset + segment.duration
        block, parts = self._block(begins, start), []
        while True:
            # a segment beyond the end of the recording is refused later
            stop = end if end <= ends[block] + self.tolerance or block == len(ends) - 1 else ends[block]
            if self.held[block] and (stop - start > self.tolerance or stop == end):
                parts.append(self._part(segment, start, stop, block))
            block += 1
            if stop == end or begins[block] >= end - self.tolerance:
                return parts, 0.0
            if not (self.known[block] or _is_uniform(segment)):
                return parts, end - begins[block]
            start = begins[block]

    def _part(self, segment: Segment, start: float, stop: float, block: int) -> Segment:
        onset = start - self.lost[block]
        if (start, stop) == (segment.onset, segment.onset + segment.duration):
            return replace(segment, onset=onset)
        offset = segment.offset + start - segment.onset
        return replace(segment, onset=onset, duration=stop - start, offset=offset, text="")

    def _block(self, begins: Iterable[float], time: float) -> int:
        return max(bisect_right(list(begins), time + self.tolerance) - 1, 0)


def _is_uniform(segment: Segment) -> bool:
    """Whether any part of a segment stands for the whole, as it has no sound, label or text."""
    return not (segment.stimulus or segment.label or segment.text)
