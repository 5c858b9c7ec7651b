"""From samples of a status channel to the codes of a trigger port."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

TRANSITION = 1e-3
"""Seconds that lines of a port may take to switch: a code of one sample or so on the way to another is none."""
MOST = 100
"""Changes a second on average beyond which a channel is a counter or a signal, not triggers."""

Integers = NDArray[np.int64]


def runs(
    read: Callable[[int, int], NDArray[np.float64]], samples: int, most: int, piece: int
) -> tuple[Integers, Integers] | None:
    """Where the value of a channel changes, and to what; the first run starts at sample 0.

    Args:
        read: Reads values from one sample up to another.
        samples: How many there are.
        most: Changes beyond which it is given up.
        piece: Samples read at once.

    Returns:
        First sample and value of every run, (runs,) each; None where there are too many.
    """
    starts, values = [], []
    last: int | None = None
    count = 0
    for first in range(0, samples, piece):
        part = np.rint(np.nan_to_num(read(first, min(first + piece, samples)))).astype(np.int64)
        changed = np.flatnonzero(np.diff(part)) + 1
        if part[0] != last:
            changed = np.concatenate([[0], changed])
        last = int(part[-1])
        count += changed.size
        if count > most:
            return None
        starts.append(first + changed)
        values.append(part[changed])
    if not starts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(starts), np.concatenate(values)


def port_codes(values: Integers, bits: int | None) -> tuple[Integers, int]:
    """What a port of some lines was set to.

    Bits above the port's are states of the amplifier (BioSemi: new epoch, electrodes in range, battery), or the sign
    of 16 lines that were read as a signed number. Bits above the eighth that are high in every sample are lines that
    nothing is connected to.

    Args:
        values: Of the channel, (runs,).
        bits: Lines of the port; None where they are not known, and a pulse may be negative.

    Returns:
        Codes, (runs,), and the bits above the eighth that are always high.
    """
    if not values.size:
        return values, 0
    codes = np.abs(values) if bits is None else values & (2**bits - 1)
    idle = int(np.bitwise_and.reduce(codes)) & ~0xFF
    return codes & ~idle, idle


def transitions_removed(starts: Integers, codes: Integers, samples: int, rate: float) -> tuple[Integers, Integers]:
    """Runs without those in which the lines of the port had not all switched yet.

    Of short runs one after the other, none is kept where they lead from one code to another, and the highest one where
    they lead back: that is a pulse.

    Args:
        starts: First samples, (runs,).
        codes: (runs,).
        samples: Of the recording.
        rate: Samples per second.
    """
    starts, codes = _joined(starts, codes)
    short = (np.diff(starts, append=samples) / rate <= TRANSITION) & (codes != 0)
    short[:1] = False
    keep = ~short
    edges = np.diff(short.astype(np.int8), prepend=0, append=0)
    for first, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        after = codes[end] if end < codes.size else 0
        if codes[first - 1] == after:
            keep[first + np.argmax(codes[first:end] & ~after)] = True
    return _joined(starts[keep], codes[keep])


def _joined(starts: Integers, codes: Integers) -> tuple[Integers, Integers]:
    """Neighbours of one code as one run."""
    new = np.diff(codes, prepend=codes[:1] - 1) != 0
    return starts[new], codes[new]
