"""Waveforms: reading, resampling and writing. Every waveform inside the project is 16 kHz mono."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from eeg2speech.errors import DataError
from eeg2speech.files import printable

RATE = 16_000
"""Samples per second of every waveform in a prepared store."""

Waveform = NDArray[np.float32]


def read_audio(file: Path, start: int = 0, samples: int = -1) -> tuple[Waveform, float]:
    """Read a sound file as mono.

    Args:
        file: Anything libsndfile reads: wav, flac, ogg, mp3.
        start: First sample.
        samples: How many; -1 for all that follow.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate in hertz.

    Raises:
        DataError: The file is missing, truncated or no sound file.
    """
    try:
        wave, rate = soundfile.read(file, frames=samples, start=start, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, UnicodeEncodeError) as error:
        raise DataError(printable(f"{file}: cannot be read as sound ({error}); replace or remove it")) from error
    return wave.mean(axis=1), float(rate)


def resample(wave: Waveform, rate: float, target: float = RATE) -> Waveform:
    """Resample a waveform, (samples,), from ``rate`` to ``target`` hertz with a polyphase filter."""
    if rate == target:
        return wave
    ratio = Fraction(target).limit_denominator(10**6) / Fraction(rate).limit_denominator(10**6)
    return np.asarray(resample_poly(wave, ratio.numerator, ratio.denominator), np.float32)


def write_audio(file: Path, wave: Waveform) -> None:
    """Write a 16 kHz waveform in [-1, 1], (samples,), as FLAC with 16 bits; louder samples are clipped."""
    soundfile.write(file, np.clip(wave, -1.0, 1.0), RATE, format="FLAC", subtype="PCM_16")
