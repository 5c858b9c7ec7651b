"""Dropouts: stretches in which all channels of a recording stand still or are missing at once, as caps lose packets.

The rule: a dropout is where every channel is NaN or infinite; where every one of two channels or more keeps one value
for 10 ms or more (three samples at least); or where all of eight channels or more hold the same value. A single channel
that is stored in coarse steps keeps one value by chance, so that only missing values are dropouts of it. Dropouts of up
to 50 ms are filled with a straight line. Longer ones are cut out: the recording is interrupted there, and segments go
on behind it. A recording that stands still for more than half of the time has no dropouts but flat channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from eeg2speech.data.timing.stretches import Stretch, runs

HELD = 0.01
"""Seconds for which no channel may change."""
FILLED = 0.05
"""Seconds of the longest dropout that a line bridges: half a period of alpha."""
SEVERAL = 2
"""Channels from which on standing still together is no chance: one that is stored in steps of 1 µV does for 50 ms."""
SAME = 8
"""Channels from which on one and the same value in all of them is no chance."""

Row = NDArray[np.floating]
Places = NDArray[np.intp]


def find_dropouts(eeg: NDArray[np.floating], rate: float, begins: bool = True) -> list[Stretch]:
    """Find the dropouts of a contiguous stretch of a recording.

    Args:
        eeg: As recorded, (channels, samples).
        rate: Samples per second.
        begins: Nothing was recorded before, so that a value held from the first sample on was never measured; else
            that sample counts as measured.

    Returns:
        Stretches, ascending and apart from each other.
    """
    every = np.arange(eeg.shape[1])
    dead = np.zeros(eeg.shape[1], bool)
    dead[_in_all(eeg, _missing, every)] = True
    if len(eeg) >= SAME:
        # the first or last sample alone may be zero by definition, as where the trend was taken out of epochs
        dead[_in_all(eeg, lambda row, at: row[at] == eeg[0, at], every[1:-1])] = True
    if len(eeg) >= SEVERAL:
        held = np.zeros(eeg.shape[1], bool)
        held[1 + _in_all(eeg, _unchanged, every[:-1])] = True
        for first, stop in runs(held):
            if stop - first >= max(2, math.ceil(HELD * rate)):
                dead[first - (begins and first == 1) : stop] = True
    return runs(dead)


def bridge(eeg: NDArray[np.floating], dropouts: Iterable[Stretch], rate: float) -> None:
    """Take the values out of dropouts, in place: short ones are NaN, long ones hold the value before and the one after.

    Each is held for half of the time, so that no filter that is shorter sees the other side.

    Args:
        eeg: Signal, (channels, samples).
        dropouts: May begin before it and end behind it.
        rate: Samples per second.
    """
    for first, stop in dropouts:
        if stop <= 0 or first >= eeg.shape[1]:
            continue
        eeg[:, max(first, 0) : stop] = np.nan
        middle = (first + stop) // 2
        if is_long((first, stop), rate) and first > 0 and middle > 0:
            eeg[:, first:middle] = eeg[:, first - 1, None]
        if is_long((first, stop), rate) and stop < eeg.shape[1]:
            eeg[:, max(middle, 0) : stop] = eeg[:, stop, None]


def between_dropouts(eeg: NDArray[np.floating], rate: float) -> list[Stretch]:
    """Stretches between long dropouts of a signal, (channels, samples), whose short ones become NaN in place."""
    dropouts = find_dropouts(eeg, rate)
    if 2 * sum(stop - first for first, stop in dropouts) > eeg.shape[1]:
        return [(0, eeg.shape[1])]
    cut = np.zeros(eeg.shape[1], bool)
    for first, stop in dropouts:
        eeg[:, first:stop] = np.nan
        cut[first:stop] = is_long((first, stop), rate)
    return runs(~cut)


def is_long(dropout: Stretch, rate: float) -> bool:
    """Whether a dropout is cut out instead of being filled."""
    return dropout[1] - dropout[0] > FILLED * rate


def _in_all(eeg: NDArray[np.floating], holds: Callable[[Row, Places], NDArray[np.bool_]], at: Places) -> Places:
    """Those samples at which something holds in every channel: few are left after the first ones."""
    for row in eeg:
        at = at[holds(row, at)]
        if not at.size:
            break
    return at


def _missing(row: Row, at: Places) -> NDArray[np.bool_]:
    return ~np.isfinite(row[at])


def _unchanged(row: Row, at: Places) -> NDArray[np.bool_]:
    now, then = row[at], row[at + 1]
    return np.asarray((now == then) | (~np.isfinite(now) & ~np.isfinite(then)))
