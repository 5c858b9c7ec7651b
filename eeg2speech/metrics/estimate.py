from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.metrics.bootstrap import Interval, bootstrap_interval, median_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate(Interval):
    """A figure with its bootstrap interval and what a model that knows nothing would score.

    Attributes:
        chance: Expected of a constant model.
    """

    chance: float


def mean_estimate(
    values: Floats, chance: Floats | float, stimulus: NDArray[np.int64], samples: int = 1000, seed: int = 0
) -> Estimate:
    """Mean over windows with its interval over stimuli; windows without a value (NaN) are left out.

    Args:
        values: Score of each window, (n,).
        chance: Expected score of each window, (n,), or of all.
        stimulus: Of each window, (n,).
        samples: Number of bootstrap draws; 0 gives no interval.
        seed: Of the draws.
    """
    kept = np.isfinite(values)
    if not kept.any():
        return Estimate(float("nan"), float("nan"), float("nan"), float(np.mean(chance)))
    found = bootstrap_interval(
        values[kept],
        np.ones(kept.sum()),
        statistic=np.divide,
        groups=stimulus[kept],
        samples=samples,
        seed=seed,
    )
    expected = np.broadcast_to(chance, values.shape)[kept].mean()
    return Estimate(found.value, found.low, found.high, float(expected))


def median_estimate(
    values: Floats, chance: Floats, stimulus: NDArray[np.int64], samples: int = 1000, seed: int = 0
) -> Estimate:
    """Median over windows with its interval over stimuli; arguments as in ``mean_estimate``."""
    found = median_interval(values, groups=stimulus, samples=samples, seed=seed)
    return Estimate(found.value, found.low, found.high, float(np.median(chance)))
