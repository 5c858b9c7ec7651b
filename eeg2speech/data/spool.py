"""Recordings of any length, read piece by piece and thinned out to a rate at which filtering is cheap."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

from eeg2speech.data.bad_channels import fill_gaps
from eeg2speech.data.pieces import Pieces
from eeg2speech.data.writer import disk_of
from eeg2speech.types import Signal

SLOWEST = 512.0
"""Samples per second that are kept at least: all that a band up to 100 Hz, a notch and an ICA need."""
READ = 2**22
"""Values read at once, over all channels."""
IN_MEMORY = 2**26
"""Values that are held in memory; more go into a scratch file."""
TAPS = 24
"""Length of the anti-alias filter in samples of the thinned-out signal: flat up to a fifth of the new rate, and 100 dB
down from its half on."""


def whole_factor(rate: float, highest: float) -> int:
    """By how much a signal may be thinned out.

    Args:
        rate: Samples per second.
        highest: Hertz that must stay as they are.
    """
    return max(int(rate / max(SLOWEST, 5 * highest)), 1)


@contextmanager
def spooled(
    signal: Signal, rows: NDArray[np.intp], gain: NDArray[np.float64], pieces: Pieces, factor: int, scratch: Path | None
) -> Iterator[tuple[NDArray[np.floating], NDArray[np.float64]]]:
    """Read a signal in stretches of some seconds and thin it out, so that neither its length nor its rate matters.

    The filter is symmetric, so nothing is delayed. Each piece is filtered by itself, held constant beyond its ends.
    A signal that fits is held in memory, else in a scratch file that is removed at the end.

    Args:
        signal: Volts or teslas, (channels, samples).
        rows: Channels to read.
        gain: What each of them is multiplied by.
        pieces: Where the contiguous pieces lie before and after.
        factor: Every how many samples one is kept.
        scratch: Where a long signal is kept; None to hold it in memory whatever its length.

    Yields:
        The signal less the first value of each channel, (rows, pieces.new_starts[-1]), and the fraction of raw
        samples that were missing, (rows,).

    Raises:
        DiskError: The disk is full.
    """
    shape = (len(rows), pieces.new_starts[-1])
    if scratch is None or shape[0] * shape[1] <= IN_MEMORY:
        held = np.empty(shape, np.float32)
        missing = np.zeros(shape[0])
        for first, part, gaps in _parts(signal, rows, gain, pieces, factor):
            held[:, first : first + part.shape[1]] = part
            missing += gaps
        yield held, missing / max(signal.shape[1], 1)
        return
    try:
        yield _on_disk(signal, rows, gain, pieces, factor, scratch)
    finally:
        scratch.unlink(missing_ok=True)


def _on_disk(
    signal: Signal, rows: NDArray[np.intp], gain: NDArray[np.float64], pieces: Pieces, factor: int, scratch: Path
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    samples = pieces.new_starts[-1]
    missing = np.zeros(len(rows))
    # written, not mapped: a full disk is then an error instead of a signal that kills the process
    with disk_of(scratch):
        descriptor = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for first, part, gaps in _parts(signal, rows, gain, pieces, factor):
            missing += gaps
            with disk_of(scratch):
                for row, values in enumerate(part.astype(np.float32)):
                    _write(descriptor, values.tobytes(), 4 * (row * samples + first))
    finally:
        os.close(descriptor)
    return np.memmap(scratch, np.float32, "r", shape=(len(rows), samples)), missing / signal.shape[1]


def _write(descriptor: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written


def _parts(
    signal: Signal, rows: NDArray[np.intp], gain: NDArray[np.float64], pieces: Pieces, factor: int
) -> Iterator[tuple[int, NDArray[np.floating], NDArray[np.float64]]]:
    """First sample of a part of the thinned-out signal, the part, and how many samples of each channel were missing."""
    half = TAPS * factor // 2
    filter_ = firwin(2 * half + 1, 0.7 / factor, window=("kaiser", 10.0)) if factor > 1 else np.ones(1)
    half = len(filter_) // 2
    step = max(READ // max(len(rows), 1) // factor, 1)
    origin: NDArray[np.float64] | None = None
    for (start, stop), (new_start, new_stop) in zip(pairwise(pieces.starts), pairwise(pieces.new_starts), strict=True):
        for first in range(new_start, new_stop, step):
            last = min(first + step, new_stop)
            wanted = start + (first - new_start) * factor, start + (last - 1 - new_start) * factor + 1
            low, high = max(wanted[0] - half, start), min(wanted[1] + half, stop)
            raw = np.asarray(signal[rows, low:high], np.float64) * gain[:, None]
            own = slice(wanted[0] - low, min(wanted[0] + (last - first) * factor, stop) - low)
            gaps = np.count_nonzero(~np.isfinite(raw[:, own]), axis=1).astype(np.float64)
            if factor > 1:
                fill_gaps(raw, np.array([0, raw.shape[1]]))
            if origin is None:
                origin = np.where(np.isfinite(raw[:, :1]), raw[:, :1], 0.0)
            raw -= origin
            if factor > 1:
                padding = half - (wanted[0] - low), half - (high - wanted[1])
                raw = np.pad(raw, ((0, 0), padding), mode="edge")
                raw = upfirdn(filter_, raw, up=1, down=factor, axis=1)[:, 2 * half // factor :][:, : last - first]
            yield first, raw, gaps
