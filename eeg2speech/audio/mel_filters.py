"""Mel filters of speech features. Unlike the front ends of audio encoders they do not need torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio.waveform import RATE

COMPRESSION = 0.3
"""Exponent of power that approximates loudness; unlike a logarithm it needs no floor in silence."""
FFT, HOP, MELS = 512, 160, 64
"""Samples of a frame and from one frame to the next (10 ms), and number of filters."""


def mel_filters() -> NDArray[np.float32]:
    """Triangular filters from 50 Hz to 8 kHz, (MELS, FFT // 2 + 1)."""
    lowest, highest = 2595 * np.log10(1 + np.array([50, RATE / 2]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, MELS + 2) / 2595) - 1)
    bins = np.linspace(0, RATE / 2, FFT // 2 + 1)
    low, middle, high = (edges[start : start + MELS, None] for start in range(3))
    filters = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    return np.maximum(filters, 0).astype(np.float32)
