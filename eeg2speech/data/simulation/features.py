"""Features of speech to which the simulated cortex responds: envelope, onsets, tonotopic bands, phonetic classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy
from numpy.typing import NDArray

from eeg2speech.audio import RATE, Waveform
from eeg2speech.audio.mel_filters import mel_filters

FRAME_RATE = 100
"""Features per second."""
HOP = RATE // FRAME_RATE
BANDS = 8
"""Tonotopic bands, from low to high."""
CLASSES = 8
"""Phonetic classes, defined by the signs of three cepstral coefficients."""
FEATURES: tuple[tuple[str, int], ...] = (
    ("envelope", 0),
    ("onset", 0),
    *(("band", band) for band in range(BANDS)),
    *(("class", kind) for kind in range(CLASSES)),
)
"""Kind and number of each row of a feature array."""

_FFT = 512
_ADAPTATION = 0.3  # time constant of the adaptation to loud sounds, in seconds
_ACTIVE = 0.35  # of the mean envelope: quieter frames are pauses and have no phonetic class

Features = NDArray[np.float32]


def speech_features(waves: Mapping[str, Waveform]) -> dict[str, Features]:
    """Features of sounds, each row with unit variance over all sounds together and zero in silence.

    Args:
        waves: Waveforms at 16 kHz, (samples,), by stimulus.

    Returns:
        Features at 100 Hz by stimulus, (len(FEATURES), frames); frame k is centred on 10 k ms.
    """
    power = {name: mel_power(wave) for name, wave in waves.items()}
    loudness = {name: mel**0.3 for name, mel in power.items()}
    level = float(np.concatenate([mel.mean(axis=0) for mel in loudness.values()]).mean())
    shape = {name: _spectral_shape(mel) for name, mel in power.items()}
    active = {name: mel.mean(axis=0) > _ACTIVE * level for name, mel in loudness.items()}
    speaking = np.concatenate([shape[name][:, active[name]] for name in waves], axis=1)
    centre = np.median(speaking, axis=1) if speaking.size else np.zeros(len(next(iter(shape.values()))))
    raw = {
        name: np.concatenate(
            [_adapted(loudness[name], level), _class_onsets(shape[name] > centre[:, None], active[name])]
        )
        for name in waves
    }
    spread = np.concatenate(list(raw.values()), axis=1).std(axis=1, keepdims=True)
    scale = np.where(spread > 0, spread, 1)
    return {name: (rows / scale).astype(np.float32) for name, rows in raw.items()}


def mel_power(wave: Waveform) -> Features:
    """Power in 64 mel bands from 50 Hz to 8 kHz at 100 Hz, (64, frames), of a waveform at 16 kHz, (samples,)."""
    frames = -(-len(wave) // HOP)
    padded = np.pad(wave, (_FFT // 2, frames * HOP - len(wave) + _FFT // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::HOP][:frames]
    spectrum = scipy.fft.rfft(windows * np.hanning(_FFT).astype(np.float32), axis=1)
    power: Features = (mel_filters() @ np.square(np.abs(spectrum)).T).astype(np.float32)
    return power


def _adapted(loudness: Features, level: float) -> NDArray[np.floating]:
    """Envelope, onset and bands under divisive adaptation, (2 + BANDS, frames).

    Args:
        loudness: Compressed mel power, (64, frames).
        level: Mean loudness of all sounds, which determines the strength of the adaptation.
    """
    envelope = loudness.mean(axis=0)
    keep = np.exp(-1 / (_ADAPTATION * FRAME_RATE))
    recent = scipy.signal.lfilter([1 - keep], [1, -keep], envelope)
    gain = 1 / np.maximum(0.5 * level + recent, np.finfo(np.float32).tiny)
    bands = loudness.reshape(BANDS, -1, loudness.shape[1]).mean(axis=1) * gain
    adapted = envelope * gain
    onset = np.maximum(np.diff(adapted, prepend=0), 0)
    return np.concatenate([adapted[None], onset[None], bands])


def _spectral_shape(power: Features) -> NDArray[np.floating]:
    """Tilt and two finer cepstral coefficients, smoothed over 50 ms, (3, frames)."""
    cepstrum = scipy.fft.dct(np.log10(power + 1e-7), axis=0, norm="ortho")[1:4]
    smooth: NDArray[np.floating] = scipy.ndimage.uniform_filter1d(cepstrum, 5, axis=1)
    return smooth


def _class_onsets(signs: NDArray[np.bool_], active: NDArray[np.bool_]) -> NDArray[np.floating]:
    """One where a phonetic class begins, else zero, (CLASSES, frames).

    Args:
        signs: Whether each of three coefficients is above its median, (3, frames).
        active: Where there is speech, (frames,).
    """
    kind = np.where(active, np.array([1, 2, 4]) @ signs, -1)
    begins = kind != np.concatenate([[-1], kind[:-1]])
    return np.asarray(begins & (kind == np.arange(CLASSES)[:, None]), np.float32)
