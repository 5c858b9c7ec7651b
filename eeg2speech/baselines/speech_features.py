"""Speech features that linear decoders reconstruct from EEG: envelope, onsets and mel bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform
from eeg2speech.data.simulation.features import mel_power

BANDS = 16
NAMES = ("envelope", "onset", *(f"mel{band}" for band in range(BANDS)))
"""Rows of a feature array."""
COMPRESSION = 0.3
"""Exponent of power that approximates loudness; unlike a logarithm it needs no floor in silence."""


def speech_features(wave: Waveform) -> NDArray[np.float32]:
    """Envelope, onsets and mel bands of a sound.

    Nothing is normalised over the sound, so that a window has the same features as within a longer sound, except for
    16 ms at its borders.

    Args:
        wave: At 16 kHz in [-1, 1], (samples,).

    Returns:
        Compressed power at 100 Hz, (len(NAMES), frames); an onset is a rise of the envelope, else zero.
    """
    power = mel_power(wave)
    envelope = power.mean(axis=0) ** COMPRESSION
    onset = np.maximum(np.diff(envelope, prepend=envelope[:1]), 0)
    bands = power.reshape(BANDS, -1, power.shape[1]).mean(axis=1) ** COMPRESSION
    return np.concatenate([envelope[None], onset[None], bands]).astype(np.float32)
