"""Stretches of samples: the first and the one after the last."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Stretch = tuple[int, int]


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches in ascending order, with those joined that overlap or touch."""
    joined: list[Stretch] = []
    for first, stop in sorted(stretches):
        if joined and first <= joined[-1][1]:
            before, end = joined.pop()
            first, stop = before, max(end, stop)
        joined.append((first, stop))
    return joined


def runs(mask: NDArray[np.bool_]) -> list[Stretch]:
    """Where a mask is true, (samples,)."""
    borders = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(stop)) for first, stop in borders.reshape(-1, 2)]


def apart(starts: Sequence[float], stretches: Iterable[tuple[float, float]]) -> list[bool]:
    """Whether each of some places lies in none of the stretches, which are apart from each other."""
    ordered = sorted(stretches)
    firsts = [first for first, _ in ordered]
    before = [bisect_right(firsts, start) for start in starts]
    return [not at or ordered[at - 1][1] <= start for at, start in zip(before, starts, strict=True)]
