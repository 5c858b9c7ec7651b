from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t


@dataclass(frozen=True)
class Repeated:
    """A figure that was measured several times.

    Attributes:
        mean: Over the repetitions.
        low: Lower end of the 95 % interval of the mean, by Student's t; NaN from a single one.
        high: Upper end.
        values: One per repetition.
    """

    mean: float
    low: float
    high: float
    values: tuple[float, ...]


def over_repetitions(values: Sequence[float]) -> Repeated:
    """Mean of independent repetitions with its 95 % interval.

    Args:
        values: One per repetition, at least one.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Repeated(mean, math.nan, math.nan, tuple(values))
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    reach = float(t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    return Repeated(mean, mean - reach, mean + reach, tuple(values))
