"""Stretches of a recording whose amplitude gives them away as artefacts, and segments without them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.timing.stretches import Stretch, merged

WINDOW = 1.0
"""Seconds that are judged at once."""
FOLDS = 5
"""Parts of the windows that thresholds are checked on in turn."""
FEWEST = 10 * FOLDS
"""Windows that a threshold can be learned from: the median of fewer than ten to a fold says little."""

logger = logging.getLogger(__name__)


def bad_stretches(
    eeg: NDArray[np.floating], pieces: Sequence[Stretch], rate: float, limit: float | Literal["auto"], share: float
) -> list[Stretch]:
    """Stretches in which too many channels are too loud at once.

    Args:
        eeg: Filtered signal in microvolts, (channels, samples).
        pieces: Contiguous stretches that were recorded.
        rate: Samples per second.
        limit: Largest peak-to-peak amplitude within a second in microvolts, or ``auto`` to learn one of each channel.
        share: Largest share of channels that may exceed theirs, from 0 to below 1.

    Returns:
        First sample of each stretch and the one after its last, ascending and apart from each other.

    Raises:
        DataError: There is too little to learn thresholds from.
    """
    windows = _windows(pieces, max(round(WINDOW * rate), 1))
    if not windows:
        return []
    amplitudes = _amplitudes(eeg, windows)
    limits = learned_limits(eeg, pieces, rate) if limit == "auto" else np.full(len(eeg), limit)
    too_many = (amplitudes > limits[:, None]).mean(axis=0) > share
    return merged([window for window, is_bad in zip(windows, too_many, strict=True) if is_bad])


def learned_limits(eeg: NDArray[np.floating], pieces: Sequence[Stretch], rate: float) -> NDArray[np.float64]:
    """The amplitude of each channel beyond which a window does the average of the others more harm than good.

    For every candidate threshold the windows of four folds that keep below it are averaged and compared with the
    median of the fifth, which outliers hardly move; the threshold with the least error over the folds wins. Every
    amplitude that occurs is tried. Unlike in the paper the windows follow no event, interpolated copies are not added
    to them, and the share of channels that makes a window bad is not learned.

    Args:
        eeg: Filtered signal in microvolts, (channels, samples).
        pieces: Contiguous stretches that were recorded.
        rate: Samples per second.

    Returns:
        Peak-to-peak amplitude within a second in microvolts, (channels,).

    Raises:
        DataError: There are fewer than ``FEWEST`` windows of a second.

    Reference: Jas et al. 2017, Autoreject: automated artifact rejection for MEG and EEG data.
    """
    length = max(round(WINDOW * rate), 1)
    firsts = np.array([at for first, end in pieces for at in range(first, end - length + 1, length)], np.intp)
    if firsts.size < FEWEST:
        raise DataError(
            f"{firsts.size} uninterrupted seconds are too few to learn thresholds from (reject: auto); at least "
            f"{FEWEST} are needed: give microvolts"
        )
    samples = firsts[:, None] + np.arange(length)
    limits = np.array([_learned_limit(channel[samples].astype(np.float64)) for channel in eeg])
    logger.info("thresholds from %.0f to %.0f uV", limits.min(), limits.max())
    return limits


def _learned_limit(windows: NDArray[np.float64]) -> float:
    """Best threshold of one channel, whose windows are (windows, samples)."""
    amplitudes = np.ptp(windows, axis=1)
    folds = np.arange(len(windows)) % FOLDS  # in turn, so that every fold has its share of early and late windows
    ascending = np.argsort(amplitudes, kind="stable")
    windows, candidates, folds = windows[ascending], amplitudes[ascending], folds[ascending]
    error = np.zeros(len(windows))
    for fold in range(FOLDS):
        held_out = folds == fold
        centre = np.median(windows[held_out], axis=0)
        kept = windows[~held_out]
        averages = np.cumsum(kept, axis=0) / np.arange(1, len(kept) + 1)[:, None]
        errors = np.sqrt(np.square(averages - centre).mean(axis=1))
        # how many of the kept windows lie below each candidate; the quietest one always stays
        error += errors[np.maximum(np.cumsum(~held_out), 1) - 1]
    return float(candidates[np.argmin(error)])


def without(
    segments: Iterable[Segment], stretches: Sequence[Stretch], rate: float, shortest: float = 0.0
) -> list[Segment]:
    """Cut bad stretches out of segments; EEG and sound stay aligned in the parts that are left.

    A part that is no longer the whole segment loses the text, as what was said in it is not known.

    Args:
        segments: In seconds.
        stretches: First sample of each bad stretch and the one after its last, ascending and apart from each other.
        rate: Samples per second.
        shortest: Parts below this many seconds are dropped; whole segments stay however short they are.

    Returns:
        The parts, in the order of the segments.
    """
    bad = [(first / rate, end / rate) for first, end in stretches]
    parts = []
    for segment in segments:
        end = segment.onset + segment.duration
        inside = [(first, last) for first, last in bad if first < end and last > segment.onset]
        if not inside:
            parts.append(segment)
            continue
        borders = [segment.onset, *(border for stretch in inside for border in stretch), end]
        for first, last in zip(borders[::2], borders[1::2], strict=True):
            if last > first and last - first >= shortest:
                offset = segment.offset + first - segment.onset
                parts.append(replace(segment, onset=first, duration=last - first, offset=offset, text=""))
    return parts


def _windows(pieces: Sequence[Stretch], length: int) -> list[Stretch]:
    """Windows that cover every piece: the last one of a piece ends with it, and short pieces are one window."""
    windows = []
    for first, end in pieces:
        windows += [(at, at + length) for at in range(first, end - length + 1, length)]
        if first < end and (end - first) % length:
            windows.append((max(end - length, first), end))
    return windows


def _amplitudes(eeg: NDArray[np.floating], windows: Sequence[Stretch]) -> NDArray[np.floating]:
    """Peak-to-peak amplitude of every channel in every window, (channels, windows)."""
    found = np.empty((len(eeg), len(windows)), eeg.dtype)
    for number, (first, end) in enumerate(windows):
        found[:, number] = np.ptp(eeg[:, first:end], axis=1)
    return found
