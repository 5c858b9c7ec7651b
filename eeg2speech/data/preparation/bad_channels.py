"""Bad channels: which are bad (marked, missing samples, flat or deviating), and their interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import MIN_VISIBLE, spherical_spline
from eeg2speech.data.electrodes.names import find_channels
from eeg2speech.data.preparation.amplitude import recorded_samples, typical_amplitude, unlikely_amplitude
from eeg2speech.data.timing import Stretch

if TYPE_CHECKING:
    from eeg2speech.data.preparation.preprocess import Preprocessing

MAX_MISSING = 0.01
"""Largest fraction of a channel's samples that may be missing and are interpolated in time; more makes it bad."""

SPREAD_FLOOR = 0.1
"""Smallest spread of log standard deviations: among almost equal channels, one that is 10 % louder is no outlier."""


def judge_channels(
    eeg: NDArray[np.float32],
    channels: Sequence[Channel],
    held: Sequence[Stretch],
    missing: NDArray[np.float64],
    flat: NDArray[np.bool_],
    settings: Preprocessing,
    source: str,
) -> list[Channel]:
    """Decide which channels are bad.

    Args:
        eeg: Filtered signal in microvolts, (channels, samples).
        channels: One per row of it.
        held: Stretches that were recorded.
        missing: Fraction of missing samples, (channels,).
        flat: Channels that are flat, (channels,).
        settings: Settings ``bad`` and ``deviation``.
        source: The recording, for error messages.

    Returns:
        The channels with their status, and the reason of each bad one.

    Raises:
        DataError: More than half of the channels are bad.
    """
    reasons = ["marked bad in the data" if channel.status == "bad" else "" for channel in channels]
    named = {name for names in find_channels(settings.bad, channels).values() for name in names}
    for row, channel in enumerate(channels):
        if channel.name in named:
            reasons[row] = "named in preprocessing.bad"
        elif missing[row] > MAX_MISSING:
            reasons[row] = f"{missing[row]:.1%} of samples missing"
        elif flat[row]:
            reasons[row] = "flat"
    if settings.deviation is not None:
        for rows in rows_by_kind(channels):
            bad = np.array([bool(reasons[row]) for row in rows])
            if not bad.all():
                for row in rows[deviating_channels(eeg[rows], bad, settings.deviation)]:
                    reasons[row] = "much louder or quieter than the others"
    dead = [row for row, reason in enumerate(reasons) if reason == "flat"]
    if len(dead) > len(channels) / 2:
        level, kind = typical_amplitude(recorded_samples(eeg, held)[dead]), channels[dead[0]].type
        fault = unlikely_amplitude(level, kind, settings.band[0])
        why = f"median amplitude of {fault}" if fault else "they hold no signal; leave the recording out"
        names = ", ".join(channels[row].name for row in dead)
        raise DataError(f"{source}: {len(dead)} of {len(channels)} channels are flat ({names}): {why}")
    bad_names = [channel.name for channel, reason in zip(channels, reasons, strict=True) if reason]
    if len(bad_names) > len(channels) / 2:
        raise DataError(
            f"{source}: {len(bad_names)} of {len(channels)} channels are bad ({', '.join(bad_names)}); leave the "
            "recording out, or loosen preprocessing.flat and preprocessing.deviation"
        )
    return [
        replace(channel, status="bad" if reason else "good", status_description=reason)
        for channel, reason in zip(channels, reasons, strict=True)
    ]


def rows_by_kind(channels: Sequence[Channel]) -> list[NDArray[np.intp]]:
    """Rows of each channel type, as magnetometers are not comparable with gradiometers."""
    kinds = np.array([channel.type for channel in channels])
    return [np.flatnonzero(kinds == kind) for kind in dict.fromkeys(kinds.tolist())]


def fill_gaps(eeg: NDArray[np.float64], starts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Replace NaN and infinity by interpolation in time inside each contiguous block, in place.

    Args:
        eeg: Signal, (channels, samples).
        starts: First sample of each block, then the number of samples, (blocks + 1,).

    Returns:
        Fraction of the samples that was replaced, (channels,).
    """
    missing = ~np.isfinite(eeg)
    for channel in np.flatnonzero(missing.any(axis=1)):
        for first, last in pairwise(starts):
            block, gaps = eeg[channel, first:last], missing[channel, first:last]
            known = np.flatnonzero(~gaps)
            if known.size == 0:
                block[:] = 0.0
            elif known.size < block.size:
                block[gaps] = np.interp(np.flatnonzero(gaps), known, block[known])
    return np.asarray(missing.mean(axis=1))


def flat_channels(eeg: NDArray[np.float64], blocks: Sequence[Stretch], rate: float, limit: float) -> NDArray[np.bool_]:
    """Find channels that are flat for more than half of the time; all of them if nothing was recorded.

    Args:
        eeg: Signal in microvolts, (channels, samples).
        blocks: Contiguous blocks that were recorded.
        rate: Samples per second.
        limit: Peak-to-peak amplitude within one second, in microvolts, below which the second is flat.

    Returns:
        True where a channel is flat, (channels,).
    """
    second = max(round(rate), 1)
    still = np.zeros(len(eeg))
    for first, stop in blocks:
        windows = np.arange(first, stop, second)
        part, at = eeg[:, first:stop], windows - first
        peaks = np.maximum.reduceat(part, at, axis=1) - np.minimum.reduceat(part, at, axis=1)
        still += (peaks < limit) @ np.diff(np.append(windows, stop))
    total = sum(stop - first for first, stop in blocks)
    return np.asarray(still > 0.5 * total) | (total == 0)


def deviating_channels(eeg: NDArray[np.floating], bad: NDArray[np.bool_], limit: float) -> NDArray[np.bool_]:
    """Find channels that are much louder or quieter than the others.

    Args:
        eeg: Filtered signal, (channels, samples).
        bad: Channels to ignore, (channels,).
        limit: Largest robust z-score of a channel's log standard deviation.

    Returns:
        True where a channel deviates, (channels,).
    """
    level = np.log(np.maximum(eeg.std(axis=1), 1e-12))
    centre = np.median(level[~bad])
    spread = max(1.4826 * float(np.median(np.abs(level[~bad] - centre))), SPREAD_FLOOR)
    return np.asarray(~bad & (np.abs(level - centre) > limit * spread))


def replace_bad(
    eeg: NDArray[np.floating], positions: NDArray[np.float64], bad: NDArray[np.bool_], interpolate: bool
) -> NDArray[np.bool_]:
    """Replace bad channels by a spherical-spline interpolation of the good ones, in place.

    Bad channels without a position become zero, and so do all of them if fewer than three good channels have one.

    Args:
        eeg: Signal, (channels, samples).
        positions: Metres, head coordinates, NaN where unknown, (channels, 3).
        bad: Channels to replace, (channels,).
        interpolate: False sets all of them to zero.

    Returns:
        True where a channel carries a signal afterwards, (channels,).
    """
    eeg[bad] = 0.0
    located = np.isfinite(positions).all(axis=1)
    visible = np.flatnonzero(located & ~bad)
    if not interpolate or not bad.any() or visible.size < MIN_VISIBLE:
        return ~bad
    rows = np.flatnonzero(located)
    matrix = spherical_spline(positions[rows], np.searchsorted(rows, visible))
    for row, channel in enumerate(rows):
        if bad[channel]:
            eeg[channel] = matrix[row] @ eeg[visible]
    return np.asarray(~bad | located)
