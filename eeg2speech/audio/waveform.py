"""Waveforms: every one inside the project is mono, at 16 kHz, in single precision and in [-1, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError

RATE = 16_000
"""Samples per second of every waveform in a prepared store."""
RATES = (1_000.0, 1_000_000.0)
"""Samples per second that a sound may have; a lower value is a rate in kilohertz, or that of an envelope."""
LOUDEST = 4.0
"""Largest absolute sample of a floating-point waveform; decoders of mp3 and ogg reach a little over 1."""

Waveform = NDArray[np.float32]


def scaled(samples: NDArray[np.generic], source: object) -> NDArray[np.float32]:
    """Scale samples to [-1, 1]: integers by the range of their type, floating point not at all.

    Args:
        samples: Of any shape.
        source: File or array they come from, for error messages.

    Raises:
        DataError: The type is not one of samples, or the samples are far above 1 or not finite.
    """
    kind = samples.dtype
    if kind.kind == "f":
        return _check_floating(np.asarray(samples, np.float32), source)
    if kind.kind not in "iu" or kind.itemsize > 4:
        raise DataError(
            f"{source}: samples of type {kind}; give floating point in [-1, 1], or integers of at most 32 bits that "
            "use the range of their type"
        )
    full = 2.0 ** (8 * kind.itemsize - 1)
    centred = samples.astype(np.float64) - (full if kind.kind == "u" else 0.0)
    peak = float(np.abs(centred).max(initial=0.0))
    if kind.itemsize == 4 and 1 < peak <= 2**15:
        raise DataError(
            f"{source}: samples of type {kind} that do not exceed {peak:g}, as if they were of 16 bits; convert them "
            "to int16"
        )
    return np.asarray(centred / full, np.float32)


def check_rate(rate: object, source: object) -> float:
    """Return the samples per second of a sound as a float.

    Raises:
        ConfigError: It is not a number, or outside of ``RATES``.
    """
    number = rate if isinstance(rate, int | float | np.integer | np.floating) else np.nan
    if isinstance(rate, bool) or not RATES[0] <= number <= RATES[1]:
        raise ConfigError(f"{source}: rate={rate!r}; give its samples per second, from {RATES[0]:g} to {RATES[1]:g}")
    return float(number)


def _check_floating(samples: NDArray[np.float32], source: object) -> NDArray[np.float32]:
    peak = float(np.maximum(samples.max(initial=0.0), -samples.min(initial=0.0)))
    if not np.isfinite(peak):
        raise DataError(f"{source}: holds NaN or infinity; replace it")
    if peak > LOUDEST:
        raise DataError(
            f"{source}: samples up to {peak:.4g}, where floating point must lie in [-1, 1]; divide by full scale, "
            "e.g. 32768 for 16 bits"
        )
    return samples
