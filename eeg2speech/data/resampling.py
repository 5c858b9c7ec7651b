"""Resampling from any rate to any other without a shift in time."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

DRIFT = 5e-5
"""Seconds by which the end of a signal may come too early or too late: the price of filters of bounded length."""


def resampled(
    signal: NDArray[np.floating], rate: float, new_rate: float, pad: Literal["antireflect", "line"] = "antireflect"
) -> NDArray[np.floating]:
    """Resample the last axis with a symmetric polyphase filter, which delays nothing.

    Sample k of the result lies at k / ``new_rate`` seconds, whatever the length. Its upper edge, half of the lower
    rate, is at -6 dB.

    Args:
        signal: (..., samples).
        rate: Samples per second.
        new_rate: Samples per second wanted.
        pad: How the signal goes on beyond its ends: mirrored at its outermost samples, or along the line through them.

    Returns:
        (..., round(samples * new_rate / rate)).
    """
    samples = signal.shape[-1]
    length = round(samples * new_rate / rate)
    if rate == new_rate or length == 0:
        return signal[..., :length]
    ratio = simple_ratio(rate, new_rate, samples)
    found = resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype=pad)
    return np.asarray(found[..., :length])


def simple_ratio(rate: float, new_rate: float, samples: int) -> Fraction:
    """The simplest ratio of two rates that keeps a signal of so many samples from drifting by more than ``DRIFT``.

    The filter is as long as the larger of its terms is, and rates such as 499.907 Hz have terms in the millions.
    """
    exact = Fraction(new_rate) / Fraction(rate)
    terms = 1
    while True:
        ratio = exact.limit_denominator(terms)
        if ratio and abs(ratio / exact - 1) * samples / Fraction(rate) <= DRIFT:
            return ratio
        terms *= 2
