"""What linear decoders reconstruct from EEG: the slow modulations of speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from eeg2speech.audio import Waveform
from eeg2speech.baselines.moments import Floats
from eeg2speech.data.simulation.features import mel_power

BANDS = 16
NAMES = ("envelope", "onset", *(f"mel{band}" for band in range(BANDS)))
"""Rows of a feature array."""

_COMPRESSION = 0.3  # of power: close to loudness, and without a floor, which a logarithm would need in silence


def speech_features(wave: Waveform) -> NDArray[np.float32]:
    """Envelope, its onsets and mel bands of a sound.

    Nothing is normalised over the sound, so that a window has the features that it has inside a longer stretch,
    but for 16 ms at its borders.

    Args:
        wave: At 16 kHz in [-1, 1], (samples,).

    Returns:
        Compressed power at 100 Hz, (len(NAMES), frames); an onset is a rise of the envelope, else zero.
    """
    power = mel_power(wave)
    envelope = power.mean(axis=0) ** _COMPRESSION
    onset = np.maximum(np.diff(envelope, prepend=envelope[:1]), 0)
    bands = power.reshape(BANDS, -1, power.shape[1]).mean(axis=1) ** _COMPRESSION
    return np.concatenate([envelope[None], onset[None], bands]).astype(np.float32)


def modulations(features: Floats, rate: float, band: tuple[float, float] = (1.0, 8.0)) -> NDArray[np.float64]:
    """Features within a band of modulation frequencies, where speech tracking is usually measured.

    Long recordings need it: slower changes of the envelope are few, and EEG that drifts along with them by chance
    or through arousal makes a correlation that says nothing about the speech.

    Args:
        features: (F, n).
        rate: Samples per second.
        band: Lowest and highest frequency in hertz.
    """
    sections = butter(2, band, "bandpass", fs=rate, output="sos")
    passed: NDArray[np.float64] = sosfiltfilt(sections, features, axis=-1)
    return passed
