"""Statistics with their intervals: bootstrap over groups of windows, and Student's t over repeated runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

Floats = NDArray[np.float64]


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


@dataclass(frozen=True)
class Estimate(Interval):
    """A score with its bootstrap interval and its chance level.

    Attributes:
        chance: Expected score of a constant model.
    """

    chance: float


@dataclass(frozen=True)
class Repeated:
    """A score over several runs.

    Attributes:
        mean: Over the runs.
        low: Lower bound of the 95 % interval of the mean, by Student's t; NaN for a single run.
        high: Upper bound.
        values: One per run.
    """

    mean: float
    low: float
    high: float
    values: tuple[float, ...]


def bootstrap_interval(
    *values: ArrayLike,
    statistic: Callable[..., NDArray[Any]],
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of a function of sums over rows, resampling whole groups with replacement.

    The rows of one group (a stimulus, a subject) depend on each other and are drawn together. With fewer than about
    ten groups a percentile interval is too narrow.

    Args:
        values: One or more arrays of rows, (n,) or (n, K).
        statistic: Maps the total of each array over the drawn rows, (samples,) or (samples, K), to the statistic of
            each draw, (samples,). For a ratio of sums, such as NMSE, it is ``np.divide``.
        groups: Group of each row, (n,).
        samples: Number of draws; 0 gives no interval.
        seed: Seed of the draws.
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
    """Interval of the median over rows, (n,); the other arguments are those of ``bootstrap_interval``."""
    levels, place = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), len(levels)))
    np.add.at(counts, (group.reshape(-1), place.reshape(-1)), 1)

    def median(totals: Floats) -> Floats:
        cumulative = totals.cumsum(axis=1)
        count = cumulative[:, -1:]
        low = (cumulative > np.floor((count - 1) / 2)).argmax(axis=1)
        high = (cumulative > np.floor(count / 2)).argmax(axis=1)
        averaged: Floats = (levels[low] + levels[high]) / 2
        return averaged

    return bootstrap_interval(
        counts, statistic=median, groups=np.arange(len(names)), samples=samples, seed=seed, level=level
    )


def mean_estimate(
    values: Floats, chance: Floats | float, stimulus: NDArray[np.int64], samples: int = 1000, seed: int = 0
) -> Estimate:
    """Mean over windows with its interval over stimuli; windows without a value (NaN) are left out.

    Args:
        values: Score of each window, (n,).
        chance: Expected score of each window, (n,), or of all.
        stimulus: Stimulus of each window, (n,).
        samples: Number of bootstrap draws; 0 gives no interval.
        seed: Seed of the draws.
    """
    kept = np.isfinite(values)
    if not kept.any():
        return Estimate(float("nan"), float("nan"), float("nan"), float(np.mean(chance)))
    found = bootstrap_interval(
        values[kept], np.ones(kept.sum()), statistic=np.divide, groups=stimulus[kept], samples=samples, seed=seed
    )
    expected = np.broadcast_to(chance, values.shape)[kept].mean()
    return Estimate(found.value, found.low, found.high, float(expected))


def median_estimate(
    values: Floats, chance: Floats, stimulus: NDArray[np.int64], samples: int = 1000, seed: int = 0
) -> Estimate:
    """Median over windows with its interval over stimuli; arguments as in ``mean_estimate``."""
    found = median_interval(values, groups=stimulus, samples=samples, seed=seed)
    return Estimate(found.value, found.low, found.high, float(np.median(chance)))


def over_repetitions(values: Sequence[float]) -> Repeated:
    """Mean of the scores of independent runs, at least one, with its 95 % interval."""
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Repeated(mean, math.nan, math.nan, tuple(values))
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    reach = float(t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    return Repeated(mean, mean - reach, mean + reach, tuple(values))


def _group_sums(values: Floats, group: NDArray[np.intp], count: int) -> Floats:
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, group.reshape(-1), values)
    return sums
