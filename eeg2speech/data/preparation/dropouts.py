"""Dropouts: stretches in which all channels of a recording are constant or missing at once, as after lost packets.

A sample belongs to a dropout if every channel is NaN or infinite; if each of two or more channels keeps its value for
10 ms or more (at least three samples); or if all of eight or more channels have the same value. A single channel with
coarse quantisation keeps its value by chance, so only missing values count there. Dropouts of up to 50 ms are
interpolated. Longer ones are cut out: the recording is interrupted there, and segments continue after it. A recording
that is constant for more than half of the time has flat channels instead of dropouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from eeg2speech.data.timing import Stretch, runs

HELD = 0.01
"""Shortest dropout of constant channels, in seconds."""
FILLED = 0.05
"""Longest dropout that is interpolated, in seconds: half a period of alpha."""
SEVERAL = 2
"""Number of channels that are not constant together by chance: one in steps of 1 µV is for 50 ms."""
SAME = 8
"""Number of channels that do not have the same value by chance."""

Row = NDArray[np.floating]
Places = NDArray[np.intp]


def find_dropouts(eeg: NDArray[np.floating], rate: float, begins: bool = True) -> list[Stretch]:
    """Find the dropouts in a contiguous part of a recording.

    Args:
        eeg: As recorded, (channels, samples).
        rate: Samples per second.
        begins: True if the recording begins here: a value that is constant from the first sample on was never
            measured. False if the first sample counts as measured.

    Returns:
        Stretches, ascending, which do not touch.
    """
    every = np.arange(eeg.shape[1])
    dead = np.zeros(eeg.shape[1], bool)
    dead[_in_all(eeg, _missing, every)] = True
    if len(eeg) >= SAME:
        # the first or last sample alone may be zero by construction, as in detrended epochs
        dead[_in_all(eeg, lambda row, at: row[at] == eeg[0, at], every[1:-1])] = True
    if len(eeg) >= SEVERAL:
        held = np.zeros(eeg.shape[1], bool)
        held[1 + _in_all(eeg, _unchanged, every[:-1])] = True
        for first, stop in runs(held):
            if stop - first >= max(2, math.ceil(HELD * rate)):
                dead[first - (begins and first == 1) : stop] = True
    return runs(dead)


def bridge(eeg: NDArray[np.floating], dropouts: Iterable[Stretch], rate: float) -> None:
    """Overwrite dropouts in place: short ones with NaN, long ones with the value before and the value after.

    Each value fills half of a long dropout, so that a shorter filter never mixes the two sides.

    Args:
        eeg: Signal, (channels, samples).
        dropouts: Stretches, which may begin before the signal and end after it.
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
    """Whether a dropout is cut out instead of interpolated."""
    return dropout[1] - dropout[0] > FILLED * rate


def _in_all(eeg: NDArray[np.floating], holds: Callable[[Row, Places], NDArray[np.bool_]], at: Places) -> Places:
    """Samples at which a condition holds in every channel; the first channels already exclude most of them."""
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
