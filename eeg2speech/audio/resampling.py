"""Resampling of waveforms between any two rates."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import scipy
from numpy.typing import NDArray

from eeg2speech.audio.waveform import RATE, Waveform
from eeg2speech.core.errors import ConfigError

LARGEST = 2**17
"""Largest term of a ratio of rates for which the polyphase filter is computed: it has 20 values for each."""
EXACT = 1e-12
"""Relative error of a ratio of rates that counts as none: a day of sound is shifted by 0.1 microseconds."""
FARTHEST = 10_000
"""Ratio of two rates beyond which one of them is a mistake."""
REACH = 10
"""Zero crossings of the kernel on either side, and the shape of its window: as ``scipy.signal.resample_poly`` has."""
SHAPE = 5.0
STEPS = 512
"""Values of the kernel from one zero crossing to the next; between them it is interpolated, to about 1e-5."""
BLOCK = 2**20
"""Weights computed at once."""


def resample(wave: Waveform, rate: float, target: float = RATE) -> Waveform:
    """Resample a waveform, (samples,), from ``rate`` to ``target`` hertz with a polyphase filter.

    Where the two rates have no ratio of small whole numbers, as 44099.7 and 16000 Hz, the same filter is evaluated at
    each new sample: slower, but exact and with bounded memory.

    Raises:
        ConfigError: A rate is not a finite number above 0, or the two differ by a factor of 10,000 or more.
    """
    if not (0 < rate < np.inf and 1 / FARTHEST < target / rate < FARTHEST):
        raise ConfigError(f"rate={rate} Hz cannot be resampled to {target:g} Hz; give samples per second")
    if rate == target:
        return wave
    ratio = Fraction(target / rate).limit_denominator(LARGEST)
    if ratio.numerator <= LARGEST and abs(float(ratio) * rate / target - 1) < EXACT:
        return np.asarray(scipy.signal.resample_poly(wave, ratio.numerator, ratio.denominator), np.float32)
    return resample_anywhere(wave, target / rate)


def resample_anywhere(wave: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Resample with a windowed sinc that is evaluated at every new sample; outside the waveform is silence.

    Memory beyond the two waveforms is bounded, whatever the ratio.

    Args:
        wave: (samples,).
        ratio: New rate by old rate.

    Returns:
        (ceil(samples * ratio),); sample k lies at k / ratio old samples.
    """
    cutoff = min(ratio, 1.0)  # of half the old rate
    kernel = _kernel()
    taps = math.ceil(REACH / cutoff)
    padded = np.pad(wave, (taps, taps + 1))
    made = np.empty(math.ceil(len(wave) * ratio), np.float32)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * taps + 1)
    size = max(BLOCK // (2 * taps + 1), 1)
    for first in range(0, len(made), size):
        times = np.arange(first, min(first + size, len(made))) / ratio
        centres = np.floor(times).astype(np.intp)
        distance = np.abs(centres[:, None] + np.arange(-taps, taps + 1) - times[:, None]) * (cutoff * STEPS)
        index = np.minimum(distance.astype(np.intp), len(kernel) - 2)
        part = distance - index
        weights = (1 - part) * kernel[index] + part * kernel[index + 1]
        weights[distance >= REACH * STEPS] = 0.0
        made[first : first + len(times)] = cutoff * np.einsum("nt,nt->n", weights, around[centres])
    return made


def _kernel() -> NDArray[np.float64]:
    """One side of the windowed sinc of area 1, from its middle to its last zero crossing."""
    at = np.arange(REACH * STEPS + 1) / STEPS
    values: NDArray[np.float64] = np.sinc(at) * scipy.special.i0(SHAPE * np.sqrt(np.clip(1 - (at / REACH) ** 2, 0, 1)))
    values *= STEPS / (2 * values.sum() - values[0])
    return values
