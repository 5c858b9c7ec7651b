"""Reading of recordings in chunks, decimated to a rate at which filtering is cheap."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from eeg2speech.core.files import disk_errors
from eeg2speech.core.types import Signal
from eeg2speech.data.preparation.bad_channels import fill_gaps
from eeg2speech.data.preparation.blocks import Blocks
from eeg2speech.data.preparation.dropouts import FILLED, bridge, find_dropouts
from eeg2speech.data.timing import Stretch, are_outside, merged

SLOWEST = 512.0
"""Lowest rate in hertz after decimation: sufficient for a band up to 100 Hz, a notch and an ICA."""
READ = 2**22
"""Values read at once, over all channels."""
IN_MEMORY = 2**26
"""Largest number of values that are held in memory; a longer signal is held in a scratch file."""
TAPS = 24
"""Length of the anti-alias filter in decimated samples: flat up to a fifth of the new rate, and 100 dB down from its
half on."""


def whole_factor(rate: float, highest: float) -> int:
    """Decimation factor.

    Args:
        rate: Samples per second.
        highest: Highest frequency in hertz that must not change.
    """
    return max(int(rate / max(SLOWEST, 5 * highest)), 1)


@dataclass
class Decimated:
    """A decimated signal.

    Attributes:
        signal: Signal less the first value of each channel, (rows, samples); NaN where it is missing.
        missing: Number of raw samples that are missing in each channel outside of dropouts, (rows,).
        dropouts: Raw samples of dropouts, ascending; ``signal`` is bridged there if it was decimated, else unchanged.
    """

    signal: NDArray[np.floating]
    missing: NDArray[np.float64]
    dropouts: list[Stretch]


@contextmanager
def chunked_decimate(
    signal: Signal,
    rows: NDArray[np.intp],
    gain: NDArray[np.float64],
    blocks: Blocks,
    factor: int,
    scratch: Path | None,
    gaps: Sequence[Stretch] = (),
) -> Iterator[Decimated]:
    """Read a signal in chunks of some seconds and decimate it, so that memory depends on neither length nor rate.

    The filter is symmetric, so it adds no delay. Each block is filtered by itself, extended by its first and last
    value. A signal with dropouts is read twice if it is decimated, so that they can be bridged before.

    Args:
        signal: Volts or teslas, (channels, samples).
        rows: Channels to read.
        gain: Factor of each of them.
        blocks: Contiguous blocks before and after decimation.
        factor: Decimation factor.
        scratch: File for a long signal, removed at the end; None to hold it in memory whatever its length.
        gaps: Raw samples at which nothing was recorded.

    Yields:
        The signal, with its missing samples and its dropouts.

    Raises:
        DiskError: The disk is full.
    """
    reader = _Reader(signal, rows, gain, blocks, factor, gaps)
    shape = (len(rows), blocks.new_starts[-1])
    file = scratch if shape[0] * shape[1] > IN_MEMORY else None
    try:
        held = _held(reader.parts(), shape, file)
        dropouts = reader.dropouts()
        if factor > 1 and dropouts:
            held = _held(reader.parts(dropouts), shape, file)
        yield Decimated(held, reader.missing - reader.gone if dropouts else reader.missing, dropouts)
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _held(
    parts: Iterable[tuple[int, NDArray[np.floating]]], shape: tuple[int, int], file: Path | None
) -> NDArray[np.floating]:
    """Parts, each with its first sample, as one array in memory or in a file."""
    if file is None:
        held = np.empty(shape, np.float32)
        for first, part in parts:
            held[:, first : first + part.shape[1]] = part
        return held
    # written, not mapped: a full disk is then an error instead of a signal that kills the process
    with disk_errors(file):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for first, part in parts:
            with disk_errors(file):
                for row, values in enumerate(part.astype(np.float32)):
                    _write(descriptor, values.tobytes(), 4 * (row * shape[1] + first))
    finally:
        os.close(descriptor)
    return np.memmap(file, np.float32, "r", shape=shape)


def _write(descriptor: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written


class _Reader:
    """Reads and decimates a signal in parts; the first pass collects its missing samples and dropouts."""

    def __init__(
        self,
        signal: Signal,
        rows: NDArray[np.intp],
        gain: NDArray[np.float64],
        blocks: Blocks,
        factor: int,
        gaps: Sequence[Stretch],
    ) -> None:
        self.signal, self.rows, self.gain, self.blocks = signal, rows, gain, blocks
        self.factor, self.gaps = factor, gaps
        self.missing = np.zeros(len(rows))
        self.gone = np.zeros(len(rows))  # missing samples inside dropouts
        self._found: list[Stretch] = []

    def dropouts(self) -> list[Stretch]:
        """Dropouts; none if the signal is constant for most of the time, as flat channels are."""
        recorded = self.blocks.starts[-1] - sum(stop - first for first, stop in self.gaps)
        most = 2 * sum(stop - first for first, stop in self._found) > recorded
        return [] if most else merged(self._found)

    def parts(self, dropouts: Sequence[Stretch] | None = None) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Parts of the decimated signal, each with its first sample.

        Args:
            dropouts: Dropouts to bridge; None for the first pass, in which they are not known.
        """
        factor, blocks = self.factor, self.blocks
        half = TAPS * factor // 2
        filter_ = scipy.signal.firwin(2 * half + 1, 0.7 / factor, window=("kaiser", 10.0)) if factor > 1 else np.ones(1)
        half = len(filter_) // 2
        beside = half + math.ceil(FILLED * blocks.rate) + 1  # includes any short dropout that the filter reaches
        step = max(READ // max(len(self.rows), 1) // factor, 1)
        origin: NDArray[np.float64] | None = None
        borders = zip(pairwise(blocks.starts), pairwise(blocks.new_starts), strict=True)
        for (start, stop), (new_start, new_stop) in borders:
            for first in range(new_start, new_stop, step):
                last = min(first + step, new_stop)
                own = start + (first - new_start) * factor, min(start + (last - new_start) * factor, stop)
                low, high = max(own[0] - beside, start), min(own[1] + beside, stop)
                raw = np.asarray(self.signal[self.rows, low:high], np.float64) * self.gain[:, None]
                if dropouts is None:
                    self._inspect(raw, low, own, begins=low == start)
                if factor > 1:
                    bridge(raw, [(gone - low, back - low) for gone, back in dropouts or ()], blocks.rate)
                    fill_gaps(raw, np.array([0, raw.shape[1]]))
                if origin is None:
                    origin = np.where(np.isfinite(raw[:, :1]), raw[:, :1], 0.0)
                raw -= origin
                # the samples that are kept, and those that the filter reaches
                begin, end = own[0] - half, start + (last - 1 - new_start) * factor + half + 1
                padding = max(low - begin, 0), max(end - high, 0)
                raw = raw[:, max(begin - low, 0) : end - low]
                if factor > 1:
                    raw = np.pad(raw, ((0, 0), padding), mode="edge")
                    raw = scipy.signal.upfirdn(filter_, raw, up=1, down=factor, axis=1)
                    raw = raw[:, 2 * half // factor :][:, : last - first]
                yield first, raw

    def _inspect(self, raw: NDArray[np.float64], low: int, own: Stretch, begins: bool) -> None:
        """Note what is missing in the samples ``own`` of a signal that was read from sample ``low`` on."""
        if not all(are_outside([own[0]], self.gaps)):
            return
        missing = ~np.isfinite(raw)
        self.missing += np.count_nonzero(missing[:, own[0] - low : own[1] - low], axis=1)
        for first, stop in find_dropouts(raw, self.blocks.rate, begins):
            first, stop = max(first + low, own[0]), min(stop + low, own[1])
            if first < stop:
                self.gone += np.count_nonzero(missing[:, first - low : stop - low], axis=1)
                self._found.append((first, stop))
