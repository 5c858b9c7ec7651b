from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Totals = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A statistic and its percentile bootstrap interval; the bounds are NaN for fewer than two groups.

    Attributes:
        value: On all rows.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float


def bootstrap_interval(
    *values: ArrayLike,
    statistic: Callable[..., NDArray[Any]],
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of a function of sums over rows, resampling whole groups with replacement.

    Rows of one group (a stimulus, a subject) depend on each other and are drawn together. With fewer than
    some ten groups a percentile interval is too narrow.

    Args:
        values: One or more arrays of rows, (n,) or (n, K).
        statistic: Takes the total of each array over the drawn rows, (samples,) or (samples, K), and returns
            the statistic of each draw, (samples,). For a ratio of sums, such as NMSE, it is ``np.divide``.
        groups: Group of each row, (n,).
        samples: Number of draws.
        seed: Of the draws.
        level: Coverage of the interval.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=samples) if count else np.zeros((samples, 0))
    draws = np.concatenate([np.ones((1, count)), draws])  # the first is the sample itself
    totals = [draws @ _group_sums(np.asarray(value, dtype=np.float64), group, count) for value in values]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.asarray(statistic(*totals), dtype=np.float64)
    spread = drawn[1:][np.isfinite(drawn[1:])]
    if count < 2 or not len(spread):
        return Interval(float(drawn[0]), float("nan"), float("nan"))
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(drawn[0]), float(low), float(high))


def median_interval(
    values: ArrayLike, *, groups: ArrayLike, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Interval of the median over rows, resampling whole groups with replacement.

    Args:
        values: Rows, (n,).
        groups: Group of each row, (n,).
        samples: Number of draws.
        seed: Of the draws.
        level: Coverage of the interval.
    """
    levels, place = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), len(levels)))
    np.add.at(counts, (group.reshape(-1), place.reshape(-1)), 1)

    def median(totals: Totals) -> Totals:
        seen = totals.cumsum(axis=1)
        middle = seen[:, -1:]
        low = (seen > np.floor((middle - 1) / 2)).argmax(axis=1)
        high = (seen > np.floor(middle / 2)).argmax(axis=1)
        averaged: Totals = (levels[low] + levels[high]) / 2
        return averaged

    return bootstrap_interval(
        counts, statistic=median, groups=np.arange(len(names)), samples=samples, seed=seed, level=level
    )


def _group_sums(values: Totals, group: NDArray[np.intp], count: int) -> Totals:
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, group.reshape(-1), values)
    return sums
