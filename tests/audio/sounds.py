"""Sounds that rise and fall as speech does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def talk(seed: int = 0, seconds: float = 8.0, rate: float = 16_000.0) -> NDArray[np.float32]:
    """Noise whose loudness changes four times a second, (samples,), with a peak below 0.5."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    knots = np.arange(0, seconds + 1, 0.25)
    loudness = np.interp(time, knots, rng.random(len(knots)))
    carrier = np.clip(rng.standard_normal(len(time)), -4, 4) / 8
    return np.asarray(loudness * carrier, np.float32)


def clicks(seconds: float = 8.0, rate: float = 16_000.0) -> NDArray[np.float32]:
    """A trigger track: ten milliseconds at full scale, twice a second."""
    wave = np.zeros(round(seconds * rate), np.float32)
    for first in range(0, len(wave), round(rate / 2)):
        wave[first : first + round(rate / 100)] = 0.9
    return wave
