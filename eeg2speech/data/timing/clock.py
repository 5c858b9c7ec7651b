"""The clock of a recording: which samples of an interrupted recording belong to which time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from eeg2speech.core.types import RawRecording, Segment
from eeg2speech.data.timing.prepared import PAUSE, UNRECORDED
from eeg2speech.data.timing.stretches import apart


@dataclass(frozen=True)
class Clock:
    """Maps times between the clock, which goes on while nothing is recorded, and samples end to end.

    Attributes:
        starts: Seconds of samples before each piece, then of all of them, (pieces + 1,).
        lost: Seconds that had passed unrecorded by the start of each piece, as far as they are known, (pieces,).
        known: Whether it is known how much time passed between the piece before and this one, (pieces,).
        held: Whether a piece holds a signal, (pieces,).
        tolerance: Half a sample, in seconds.
    """

    starts: tuple[float, ...]
    lost: tuple[float, ...]
    known: tuple[bool, ...]
    held: tuple[bool, ...]
    tolerance: float

    @classmethod
    def of(cls, raw: RawRecording) -> Clock:
        """The clock of a recording."""
        starts = tuple(sample / raw.rate for sample in (0, *raw.breaks, raw.eeg.shape[1]))
        # samples without a signal took their time: nothing is lost at either end of them
        edges = {edge for gap in raw.gaps for edge in gap}
        known = (True, *(at in raw.unrecorded or at in edges for at in raw.breaks))
        lost = tuple(accumulate((0.0, *(raw.unrecorded.get(at, 0.0) for at in raw.breaks))))
        return cls(starts, lost, known, tuple(apart([0, *raw.breaks], raw.gaps)), 0.5 / raw.rate)

    @property
    def seconds(self) -> float:
        """From the recording's start to its end, interruptions of known length included."""
        return self.starts[-1] + self.lost[-1]

    def at(self, seconds: float) -> float:
        """Time on the clock after so many seconds of samples."""
        return seconds + self.lost[self._piece(self.starts[:-1], seconds)]

    def follows(self, one: float, other: float) -> bool:
        """Whether it is known how much time lies between two times on the clock: no pause of unknown length does."""
        begins = [start + lost for start, lost in zip(self.starts, self.lost, strict=False)]
        first, last = sorted(self._piece(begins, time) for time in (one, other))
        return all(self.known[first + 1 : last + 1])

    def recorded(self, segments: Iterable[Segment], shortest: float) -> tuple[list[Segment], dict[str, float]]:
        """Parts of segments that were recorded without an interruption; EEG and sound stay aligned.

        After an interruption of known length a segment goes on, with what comes in its sound then. After another one it
        goes on only if it has neither sound, label nor text: what of them belongs to the rest is not known.

        Args:
            segments: In seconds of the clock.
            shortest: Parts below this many seconds are left out; whole segments stay however short they are.

        Returns:
            The parts in seconds of samples, in the order of the segments; and by reason, how many seconds they lose.
        """
        parts: list[Segment] = []
        lost = {PAUSE: 0.0, UNRECORDED: 0.0}
        for segment in segments:
            found, unplaced = self._parts(segment)
            kept = [part for part in found if part.duration >= shortest or part.duration == segment.duration]
            there = sum(part.duration for part in found)
            lost[PAUSE] += unplaced + there - sum(part.duration for part in kept)
            lost[UNRECORDED] += 0.0 if _goes_on(segment) else segment.duration - there - unplaced
            parts += kept
        return parts, lost

    def _parts(self, segment: Segment) -> tuple[list[Segment], float]:
        begins = [start + lost for start, lost in zip(self.starts, self.lost, strict=False)]
        ends = [end + lost for (_, end), lost in zip(pairwise(self.starts), self.lost, strict=True)]
        start, end = segment.onset, segment.onset + segment.duration
        piece, parts = self._piece(begins, start), []
        while True:
            # what lies beyond the recording is left for its check
            stop = end if end <= ends[piece] + self.tolerance or piece == len(ends) - 1 else ends[piece]
            if self.held[piece] and (stop - start > self.tolerance or stop == end):
                parts.append(self._part(segment, start, stop, piece))
            piece += 1
            if stop == end or begins[piece] >= end - self.tolerance:
                return parts, 0.0
            if not (self.known[piece] or _goes_on(segment)):
                return parts, end - begins[piece]
            start = begins[piece]

    def _part(self, segment: Segment, start: float, stop: float, piece: int) -> Segment:
        onset = start - self.lost[piece]
        if (start, stop) == (segment.onset, segment.onset + segment.duration):
            return replace(segment, onset=onset)
        offset = segment.offset + start - segment.onset
        return replace(segment, onset=onset, duration=stop - start, offset=offset, text="")

    def _piece(self, begins: Iterable[float], time: float) -> int:
        return max(bisect_right(list(begins), time + self.tolerance) - 1, 0)


def _goes_on(segment: Segment) -> bool:
    """Whether all that follows a segment is like it: nothing was presented that ends."""
    return not (segment.stimulus or segment.label or segment.text)
