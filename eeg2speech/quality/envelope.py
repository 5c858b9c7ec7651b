"""Envelopes of speech: loudness over time, the feature of a sound that EEG follows best."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from eeg2speech.audio import Waveform
from eeg2speech.audio.mel_filters import COMPRESSION
from eeg2speech.core.errors import DataError
from eeg2speech.data.preparation.resampling import simple_ratio
from eeg2speech.data.simulation.features import FRAME_RATE, HOP, mel_power
from eeg2speech.data.store.store import Store

Envelopes = Callable[[str], NDArray[np.float32] | None]
"""Maps a stimulus to its envelope at the store's EEG rate, (samples,), or None."""
_BLOCK = 60 * FRAME_RATE  # frames at once, which bounds memory
_MARGIN = 2  # frames: half a Fourier window


def envelope(wave: Waveform) -> NDArray[np.float32]:
    """Loudness of a waveform at 16 kHz, (samples,): compressed mel power averaged over bands.

    Returns:
        (frames,) at 100 Hz; frame k is centred on 10 k ms.
    """
    loudness: NDArray[np.float32] = (mel_power(wave) ** COMPRESSION).mean(axis=0)
    return loudness


def stimulus_envelope(store: Store, stimulus: str) -> NDArray[np.float32] | None:
    """Envelope of a stimulus at the store's EEG rate, (samples,): computed from its sound, else the published one.

    Returns:
        None where the store has neither.

    Raises:
        DataError: A file is damaged.
    """
    file = store.audio_file(stimulus)
    if not file.is_file():
        return store.envelope(stimulus)
    try:
        samples = soundfile.info(file).frames
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(f"{file}: cannot be read as sound ({error}); prepare the store again") from error
    frames = -(-samples // HOP)
    blocks = []
    for first in range(0, frames, _BLOCK):
        last, before = min(first + _BLOCK, frames), min(first, _MARGIN)
        wave = store.audio(stimulus, (first - before) * HOP, (last - first + before + _MARGIN) * HOP)
        blocks.append(envelope(wave)[before : before + last - first])
    whole = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if store.rate == FRAME_RATE or whole.size == 0:
        return whole
    ratio = simple_ratio(FRAME_RATE, store.rate, len(whole))
    resampled = resample_poly(whole, ratio.numerator, ratio.denominator, padtype="line")
    return np.asarray(resampled, np.float32)


def cached_envelopes(store: Store) -> Envelopes:
    """``stimulus_envelope`` of a store, each stimulus computed once."""
    return cache(lambda stimulus: stimulus_envelope(store, stimulus))
