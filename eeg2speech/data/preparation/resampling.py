"""Resampling from any rate to any other without a shift in time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from mne.filter import resample
from numpy.typing import NDArray
from scipy.fft import next_fast_len

DRIFT = 5e-5
"""Largest error in seconds at the end of a signal; it allows ratios whose transforms have a limited length."""
PADDING = 100
"""Smallest number of samples by which a signal is extended at either end."""


def resampled(signal: NDArray[np.float64], rate: float, new_rate: float) -> NDArray[np.float64]:
    """Resample the last axis in the frequency domain.

    Sample k of the result lies at k / ``new_rate`` seconds for every length: the signal is extended, before its start
    and in total, to a whole number of new samples, as a remainder would shift all of it.

    Args:
        signal: (..., samples).
        rate: Samples per second.
        new_rate: Samples per second of the result.

    Returns:
        (..., round(samples * new_rate / rate)).
    """
    samples = signal.shape[-1]
    length = round(samples * new_rate / rate)
    if rate == new_rate or length == 0:
        return signal[..., :length]
    ratio = simple_ratio(rate, new_rate, samples)
    up, down = ratio.numerator, ratio.denominator
    padding = -(-PADDING // down) * down
    if samples % down or padding > PADDING:  # else it already fits, as at 200 or 500 Hz
        units = next_fast_len(-(-samples // down) + 2 * padding // down)
        signal = _extended(signal, units * down - 2 * padding - samples)
    found = resample(signal, up=up, down=down, npad=padding, verbose="ERROR")
    return np.asarray(found[..., :length])


def _extended(signal: NDArray[np.float64], more: int) -> NDArray[np.float64]:
    """A signal with ``more`` samples appended: its point reflection at the last sample, then a constant."""
    samples = signal.shape[-1]
    reach = min(more, samples - 1)
    longer = np.empty((*signal.shape[:-1], samples + more))
    longer[..., :samples] = signal
    longer[..., samples : samples + reach] = 2 * signal[..., -1:] - signal[..., ::-1][..., 1 : reach + 1]
    longer[..., samples + reach :] = longer[..., samples + reach - 1, None]
    return longer


def simple_ratio(rate: float, new_rate: float, samples: int) -> Fraction:
    """The simplest ratio of two rates by which a signal of so many samples drifts by less than ``DRIFT``.

    The exact ratio of a rate such as 499.907 Hz has terms in the millions.
    """
    exact = Fraction(new_rate) / Fraction(rate)
    terms = 1
    while True:
        ratio = exact.limit_denominator(terms)
        if ratio and abs(ratio / exact - 1) * samples / Fraction(rate) <= DRIFT:
            return ratio
        terms *= 2
