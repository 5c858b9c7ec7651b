"""Rejection of seconds by their amplitude, and segments without the rejected stretches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.timing import Stretch, merged

WINDOW = 1.0
"""Length in seconds of the windows that are kept or rejected."""
FOLDS = 5
"""Folds of the cross-validation of thresholds."""
FEWEST = 10 * FOLDS
"""Smallest number of windows for learning a threshold: the median over fewer than ten per fold is unreliable."""

logger = logging.getLogger(__name__)


def bad_stretches(
    eeg: NDArray[np.floating], blocks: Sequence[Stretch], rate: float, limit: float | Literal["auto"], share: float
) -> list[Stretch]:
    """Find stretches in which too many channels exceed their threshold at once.

    Args:
        eeg: Filtered signal in microvolts, (channels, samples).
        blocks: Contiguous blocks that were recorded.
        rate: Samples per second.
        limit: Largest peak-to-peak amplitude within a second in microvolts, or ``auto`` for one learned per channel.
        share: Largest share of channels that may exceed their threshold, in [0, 1).

    Returns:
        Stretches, ascending, which do not touch.

    Raises:
        DataError: The recording is too short for learning thresholds.
    """
    windows = _windows(blocks, max(round(WINDOW * rate), 1))
    if not windows:
        return []
    amplitudes = np.empty((len(eeg), len(windows)), eeg.dtype)
    for number, (first, end) in enumerate(windows):
        amplitudes[:, number] = np.ptp(eeg[:, first:end], axis=1)
    limits = learned_limits(eeg, blocks, rate) if limit == "auto" else np.full(len(eeg), limit)
    too_many = (amplitudes > limits[:, None]).mean(axis=0) > share
    return merged([window for window, is_bad in zip(windows, too_many, strict=True) if is_bad])


def learned_limits(eeg: NDArray[np.floating], blocks: Sequence[Stretch], rate: float) -> NDArray[np.float64]:
    """Learn the amplitude of each channel above which windows make the average of all windows worse.

    For every candidate threshold, the windows of four folds below it are averaged and compared with the median of the
    fifth fold, which is robust to outliers; the threshold with the smallest error over the folds is chosen. Every
    amplitude that occurs is a candidate. Unlike in the paper, windows are not locked to events, interpolated copies
    are not added to them, and the share of channels that makes a window bad is not learned.

    Args:
        eeg: Filtered signal in microvolts, (channels, samples).
        blocks: Contiguous blocks that were recorded.
        rate: Samples per second.

    Returns:
        Peak-to-peak amplitude within a second in microvolts, (channels,).

    Raises:
        DataError: There are fewer than ``FEWEST`` windows of a second.

    Reference: Jas et al. 2017, Autoreject: automated artifact rejection for MEG and EEG data.
    """
    length = max(round(WINDOW * rate), 1)
    firsts = np.array([at for first, end in blocks for at in range(first, end - length + 1, length)], np.intp)
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
    folds = np.arange(len(windows)) % FOLDS  # interleaved, so that each fold has early and late windows
    ascending = np.argsort(amplitudes, kind="stable")
    windows, candidates, folds = windows[ascending], amplitudes[ascending], folds[ascending]
    error = np.zeros(len(windows))
    for fold in range(FOLDS):
        held_out = folds == fold
        centre = np.median(windows[held_out], axis=0)
        kept = windows[~held_out]
        averages = np.cumsum(kept, axis=0) / np.arange(1, len(kept) + 1)[:, None]
        errors = np.sqrt(np.square(averages - centre).mean(axis=1))
        # number of kept windows below each candidate; the quietest one is always kept
        error += errors[np.maximum(np.cumsum(~held_out), 1) - 1]
    return float(candidates[np.argmin(error)])


def without(
    segments: Iterable[Segment], stretches: Sequence[Stretch], rate: float, shortest: float = 0.0
) -> list[Segment]:
    """Cut stretches out of segments; in each remaining part, EEG and sound stay aligned.

    A part of a segment has no text, as it is unknown which words it contains.

    Args:
        segments: In seconds.
        stretches: Stretches to cut out, ascending, which do not touch.
        rate: Samples per second.
        shortest: Shorter parts are dropped (seconds); an uncut segment is kept whatever its length.

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


def _windows(blocks: Sequence[Stretch], length: int) -> list[Stretch]:
    """Windows that cover every block: the last one ends with the block, and a shorter block is one window."""
    windows = []
    for first, end in blocks:
        windows += [(at, at + length) for at in range(first, end - length + 1, length)]
        if first < end and (end - first) % length:
            windows.append((max(end - length, first), end))
    return windows
