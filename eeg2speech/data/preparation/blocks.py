"""The contiguous pieces of a recording: each is filtered and resampled by itself, never across a break."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from mne.filter import filter_data, notch_filter
from numpy.typing import NDArray
from scipy.signal import detrend

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.preparation.resampling import resampled
from eeg2speech.data.timing.stretches import Stretch, apart

NOTCH_WIDTH = 2.0
"""Hertz around the line frequency that a notch takes out: wide enough to stop ringing after half a second."""


@dataclass(frozen=True)
class Blocks:
    """Where the pieces of a recording lie before and after resampling.

    Attributes:
        starts: First raw sample of each piece, then the number of raw samples, (pieces + 1,).
        new_starts: The same in resampled samples, (pieces + 1,).
        rate: Raw samples per second.
        new_rate: Resampled samples per second.
    """

    starts: tuple[int, ...]
    new_starts: tuple[int, ...]
    rate: float
    new_rate: float

    @classmethod
    def of(cls, samples: int, breaks: Sequence[int], rate: float, new_rate: float) -> Blocks:
        """Lay out a recording: a piece of n raw samples becomes round(n * new_rate / rate) samples.

        Args:
            samples: Raw samples of the recording.
            breaks: First sample of each later piece.
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
        """Pieces of the same length together, as epochs are hundreds of equal pieces and filter much faster so.

        Yields:
            Raw sample numbers, (pieces, samples), and resampled ones, (pieces, new samples).
        """
        starts, new_starts = np.array(self.starts[:-1]), np.array(self.new_starts[:-1])
        lengths, new_lengths = np.diff(self.starts), np.diff(self.new_starts)
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            old = starts[same, None] + np.arange(length)
            yield old, new_starts[same, None] + np.arange(new_lengths[same[0]])

    def outside(self, gaps: Sequence[Stretch]) -> list[tuple[Stretch, Stretch]]:
        """Pieces outside of gaps that are not empty: raw samples, and resampled ones."""
        every = zip(pairwise(self.starts), pairwise(self.new_starts), strict=True)
        held = apart(self.starts[:-1], gaps)
        return [both for both, is_held in zip(every, held, strict=True) if is_held and both[1][0] < both[1][1]]

    def within(self, stretch: Stretch) -> list[tuple[Stretch, Stretch]]:
        """What of each piece lies in a stretch of raw samples: raw samples, and resampled ones."""
        found = []
        for piece in range(bisect_right(self.starts, stretch[0]) - 1, len(self.starts) - 1):
            (start, stop), (new_start, new_stop) = (of[piece : piece + 2] for of in (self.starts, self.new_starts))
            if start >= stretch[1]:
                break
            first, last = max(stretch[0], start), min(stretch[1], stop)
            # one that is resampled from a time at its border or behind it
            new = (new_start + math.ceil((at - start) * self.new_rate / self.rate - 1e-9) for at in (first, last))
            new_first, new_last = (min(at, new_stop) for at in new)
            found.append(((first, last), (new_first, new_last)))
        return found

    def to_resampled(self, segment: Segment) -> Segment:
        """A segment of the raw recording, in seconds of the resampled one.

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
        # a segment that ends with a piece ends in it, not at the start of the next one
        end = self._time(last, bisect_right(self.starts, last - tolerance) - 1)
        return replace(segment, onset=onset, duration=end - onset)

    def _time(self, sample: float, piece: int) -> float:
        piece = min(max(piece, 0), len(self.starts) - 2)
        inside = max(sample - self.starts[piece], 0.0) * self.new_rate / self.rate
        return min(self.new_starts[piece] + inside, self.new_starts[piece + 1]) / self.new_rate


def filter_pieces(
    eeg: NDArray[np.float64],
    rate: float,
    new_rate: float,
    band: tuple[float | None, float | None],
    notch: float | None,
) -> NDArray[np.float64]:
    """Detrend, filter and resample contiguous pieces without shifting them in time.

    Butterworth filters of order 4 run forwards and backwards, so the band's edges lie at -6 dB. A piece
    shorter than two periods of the lower edge is not high-passed: taking out its linear trend already removes
    what is slower than the piece, while the filter would only add transients at both ends.

    Args:
        eeg: Pieces, (..., samples).
        rate: Samples per second.
        new_rate: Samples per second wanted.
        band: Lower and upper edge in hertz; either may be None.
        notch: Line frequency in hertz or None.

    Returns:
        The pieces, (..., round(samples * new_rate / rate)).
    """
    samples = eeg.shape[-1]
    length = round(samples * new_rate / rate)
    if length == 0:
        return eeg[..., :0]
    low, high = band
    if low is not None and samples < 2 * rate / low:
        low = None
    eeg = detrend(eeg) if samples > 1 else eeg - eeg
    if low is not None or high is not None:
        order = {"order": 4, "ftype": "butter", "output": "sos"}
        eeg = filter_data(eeg, rate, low, high, method="iir", iir_params=order, verbose="ERROR")
    if notch is not None and is_notched(notch, rate, high):
        eeg = notch_filter(
            eeg,
            rate,
            [notch],
            method="iir",
            notch_widths=NOTCH_WIDTH,
            iir_params={"order": 2, "ftype": "butter", "output": "sos"},
            verbose="ERROR",
        )
    return np.asarray(resampled(eeg, rate, new_rate), np.float64)


def is_notched(notch: float, rate: float, high: float | None) -> bool:
    """Whether a line frequency is in a recording and not far above the band."""
    return notch + NOTCH_WIDTH < rate / 2 and (high is None or notch < 1.5 * high)
