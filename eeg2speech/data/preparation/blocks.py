"""Contiguous blocks of a recording: each is filtered and resampled by itself, never across a break."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.timing import Stretch, are_outside


@dataclass(frozen=True)
class Blocks:
    """Positions of the contiguous blocks of a recording before and after resampling.

    Attributes:
        starts: First raw sample of each block, then the number of raw samples, (blocks + 1,).
        new_starts: The same in resampled samples, (blocks + 1,).
        rate: Raw samples per second.
        new_rate: Resampled samples per second.
    """

    starts: tuple[int, ...]
    new_starts: tuple[int, ...]
    rate: float
    new_rate: float

    @classmethod
    def of(cls, samples: int, breaks: Sequence[int], rate: float, new_rate: float) -> Blocks:
        """Lay out a recording: a block of n raw samples becomes round(n * new_rate / rate) samples.

        Args:
            samples: Raw samples of the recording.
            breaks: First sample of each later block.
            rate: Raw samples per second.
            new_rate: Samples per second after resampling.

        Raises:
            DataError: The breaks are not ascending or lie outside the recording.
        """
        starts = [0, *breaks, samples]
        if any(second <= first for first, second in pairwise(starts)):
            raise DataError(f"breaks {list(breaks)} do not ascend inside {samples} samples; check the reader")
        lengths = [round(n * new_rate / rate) for n in np.diff(starts)]
        return cls(tuple(starts), tuple(np.cumsum([0, *lengths]).tolist()), rate, new_rate)

    def by_length(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Group blocks of the same length: hundreds of equal epochs are filtered much faster together.

        Yields:
            Raw sample numbers, (blocks, samples), and resampled ones, (blocks, new samples).
        """
        starts, new_starts = np.array(self.starts[:-1]), np.array(self.new_starts[:-1])
        lengths, new_lengths = np.diff(self.starts), np.diff(self.new_starts)
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            old = starts[same, None] + np.arange(length)
            yield old, new_starts[same, None] + np.arange(new_lengths[same[0]])

    def outside(self, gaps: Sequence[Stretch]) -> list[tuple[Stretch, Stretch]]:
        """Non-empty blocks outside of gaps, in raw samples and in resampled ones."""
        every = zip(pairwise(self.starts), pairwise(self.new_starts), strict=True)
        held = are_outside(self.starts[:-1], gaps)
        return [both for both, is_held in zip(every, held, strict=True) if is_held and both[1][0] < both[1][1]]

    def within(self, stretch: Stretch) -> list[tuple[Stretch, Stretch]]:
        """Parts of blocks that lie in a stretch of raw samples, in raw samples and in resampled ones."""
        found = []
        for block in range(bisect_right(self.starts, stretch[0]) - 1, len(self.starts) - 1):
            (start, stop), (new_start, new_stop) = (of[block : block + 2] for of in (self.starts, self.new_starts))
            if start >= stretch[1]:
                break
            first, last = max(stretch[0], start), min(stretch[1], stop)
            # the first resampled sample at or after each border
            new = (new_start + math.ceil((at - start) * self.new_rate / self.rate - 1e-9) for at in (first, last))
            new_first, new_last = (min(at, new_stop) for at in new)
            found.append(((first, last), (new_first, new_last)))
        return found

    def to_resampled(self, segment: Segment) -> Segment:
        """Convert a segment from seconds of the raw recording to seconds of the resampled one.

        Raises:
            DataError: It does not lie inside the recording.
        """
        first, last = segment.onset * self.rate, (segment.onset + segment.duration) * self.rate
        tolerance = 0.5  # onsets are often rounded to milliseconds
        if not (-tolerance <= first < last <= self.starts[-1] + tolerance):
            raise DataError(
                f"segment at {segment.onset:g} s of {segment.duration:g} s does not lie inside the recording "
                f"of {self.starts[-1] / self.rate:g} s; correct its onset and duration"
            )
        onset = self._time(first, bisect_right(self.starts, first + tolerance) - 1)
        # a segment that ends with a block ends in it, not at the start of the next one
        end = self._time(last, bisect_right(self.starts, last - tolerance) - 1)
        return replace(segment, onset=onset, duration=end - onset)

    def _time(self, sample: float, block: int) -> float:
        block = min(max(block, 0), len(self.starts) - 2)
        inside = max(sample - self.starts[block], 0.0) * self.new_rate / self.rate
        return min(self.new_starts[block] + inside, self.new_starts[block + 1]) / self.new_rate
