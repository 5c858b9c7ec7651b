"""Waveforms: reading, resampling and writing. Every waveform inside the project is 16 kHz mono."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from eeg2speech.audio.fractional import resample_anywhere
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.files import printable

RATE = 16_000
"""Samples per second of every waveform in a prepared store."""

LARGEST = 2**17
"""Largest term of a ratio of rates for which the polyphase filter is computed: it has 20 values for each."""
EXACT = 1e-12
"""Relative error of a ratio of rates that counts as none: a day of sound is moved by 0.1 microseconds."""
FARTHEST = 10_000
"""Ratio of two rates beyond which one of them is a mistake."""

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
    """Resample a waveform, (samples,), from ``rate`` to ``target`` hertz with a polyphase filter.

    Where the two rates have no ratio of small whole numbers, as 44099.7 and 16000 Hz, the same filter is evaluated at
    each new sample: slower, but in the same little memory, and no sample is moved.

    Raises:
        ConfigError: A rate is not a finite number above 0, or the two lie absurdly far apart.
    """
    if not (0 < rate < np.inf and 1 / FARTHEST < target / rate < FARTHEST):
        raise ConfigError(f"rate={rate} Hz cannot be resampled to {target:g} Hz; give samples per second")
    if rate == target:
        return wave
    ratio = Fraction(target / rate).limit_denominator(LARGEST)
    if ratio.numerator <= LARGEST and abs(float(ratio) * rate / target - 1) < EXACT:
        return np.asarray(resample_poly(wave, ratio.numerator, ratio.denominator), np.float32)
    return resample_anywhere(wave, target / rate)


def write_audio(file: Path, wave: Waveform, comment: str = "") -> None:
    """Write a waveform as FLAC with 16 bits.

    Args:
        file: To write.
        wave: At 16 kHz in [-1, 1], (samples,); louder samples are clipped.
        comment: What is to be known of the sound; kept in the file.
    """
    with soundfile.SoundFile(file, "w", RATE, 1, "PCM_16", format="FLAC") as sound:
        if comment:
            sound.comment = comment
        sound.write(np.clip(wave, -1.0, 1.0))
