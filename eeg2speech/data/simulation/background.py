"""Activity and artefacts besides the response: 1/f activity, alpha rhythm, blinks, line noise and sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from eeg2speech.data.simulation.head import Head, unit

DIPOLES = 200
"""Sources of the 1/f activity."""
_BLOCK = 50  # dipoles whose spectra are held at once: 65 MB for half an hour
_FLATTEST = 0.3  # hertz below which the 1/f spectrum stays level
_ALPHA = np.array(
    [[0.012, -0.07, 0.03], [0.03, -0.06, 0.055], [0.045, -0.01, 0.085]]
)  # metres, right side: occipital, parietal and central generators
_ALPHA_GAINS = np.array([1.0, 0.8, 0.35])
_EYE = np.array([0.03, 0.075, -0.005])  # metres, right

Signal = NDArray[np.float32]


def ongoing(head: Head, rng: np.random.Generator, samples: int, rate: float) -> Signal:
    """1/f activity of dipoles in the whole cortex, with root mean square one, (C, samples)."""
    outwards = unit(rng.normal(size=(4 * DIPOLES, 3)))
    outwards = outwards[outwards[:, 2] > -0.35][:DIPOLES]  # none in the neck
    depth = rng.uniform(0.62, 0.82, (DIPOLES, 1))
    tilt = rng.normal(0, 0.6, outwards.shape)
    gains = head.leadfield(
        head.centre + head.radius * depth * outwards, outwards * rng.uniform(0.3, 1.5, (DIPOLES, 1)) + tilt
    )
    gains = gains * np.exp(rng.normal(0, 0.5, DIPOLES)).astype(np.float32)
    slopes = rng.uniform(0.8, 1.5, (DIPOLES, 1)).astype(np.float32)
    length = next_fast_len(samples, real=True)
    logs = np.log(np.maximum(rfftfreq(length, 1 / rate), _FLATTEST)).astype(np.float32)
    mixed: NDArray[np.complex64] | None = None
    for first in range(0, DIPOLES, _BLOCK):
        block = slice(first, first + _BLOCK)
        amplitude = np.exp(-0.5 * slopes[block] * logs)
        amplitude[:, 0] = 0  # no offset
        amplitude /= np.sqrt(np.square(amplitude).sum(axis=1, keepdims=True))
        spectra = _white(rng, len(amplitude), length) * amplitude
        scalp = (gains[:, block] @ spectra.view(np.float32)).view(np.complex64)
        mixed = scalp if mixed is None else mixed + scalp
    signal: Signal = irfft(mixed, length, axis=1)[:, :samples]
    signal /= signal.std()
    return signal


def alpha(head: Head, rng: np.random.Generator, samples: int, rate: float) -> Signal:
    """Bursts of alpha rhythm, strongest over the occiput, with root mean square near one, (C, samples)."""
    sides = np.concatenate([_ALPHA, _ALPHA * [-1, 1, 1]])
    positions = sides + rng.normal(0, 0.004, sides.shape)
    directions = positions - head.centre + rng.normal(0, 0.02, sides.shape)
    gains = head.leadfield(positions, directions) * np.tile(_ALPHA_GAINS, 2).astype(np.float32)
    peak, strength = rng.normal(10, 0.9), np.exp(rng.normal(0, 0.4))
    length = next_fast_len(samples, real=True)
    frequency = rfftfreq(length, 1 / rate).astype(np.float32)
    shape = np.exp(-0.5 * (frequency - peak) ** 2) + 0.15 * np.exp(-0.5 * ((frequency - 2 * peak) / 1.5) ** 2)
    rhythm = irfft(_white(rng, len(sides), length) * shape, length, axis=1)[:, :samples]
    drift = irfft(_white(rng, 1, length) * ((frequency > 0) & (frequency < 0.3)), length, axis=1)[0, :samples]
    bursts = np.exp(0.8 * drift / max(drift.std(), np.finfo(np.float32).tiny))
    signal: Signal = gains @ (rhythm * (bursts / bursts.mean()))
    signal *= np.float32(strength / signal.std())
    return signal


def blinks(head: Head, rng: np.random.Generator, samples: int, rate: float) -> Signal:
    """Eye blinks, 8 to 20 a minute, with a mean peak of one where they are largest, (C, samples)."""
    eyes = np.array([_EYE, _EYE * [-1, 1, 1]])
    topography = head.leadfield(eyes, np.tile([0.0, 0.3, 1.0], (2, 1))).sum(axis=1)
    topography /= np.abs(topography).max()
    lid = np.hanning(int(0.35 * rate)) ** 1.5
    course = np.zeros(samples + len(lid))
    for start in rng.integers(0, samples, rng.poisson(rng.uniform(8, 20) * samples / rate / 60)):
        course[start : start + len(lid)] += lid * np.exp(rng.normal(0, 0.25))
    return np.outer(topography, course[:samples].astype(np.float32))


def line_noise(channels: int, rng: np.random.Generator, samples: int, rate: float, frequency: float) -> Signal:
    """Sine of ``frequency`` hertz, of random strength in every channel, (channels, samples)."""
    gains = np.abs(rng.normal(0, 1, channels)).astype(np.float32)
    phase = 2 * np.pi * (frequency * np.arange(samples) / rate + rng.uniform())
    return np.outer(gains, np.sin(phase).astype(np.float32))


def sensor_noise(channels: int, rng: np.random.Generator, samples: int) -> Signal:
    """White noise of amplifiers and skin, of random strength near one in every channel, (channels, samples)."""
    gains = np.exp(rng.normal(0, 0.3, channels)).astype(np.float32)
    return gains[:, None] * rng.standard_normal((channels, samples), np.float32)


def band_power(signal: Signal, rate: float, lowest: float = 0.5, highest: float = 30.0) -> float:
    """Mean over channels of the power between two frequencies in hertz, of a signal (C, samples)."""
    length = next_fast_len(signal.shape[1], real=True)
    frequency = rfftfreq(length, 1 / rate)
    chosen = (frequency >= lowest) & (frequency <= highest)
    spectrum = rfft(signal, length, axis=1)[:, chosen]
    energy = np.square(np.abs(spectrum).astype(np.float64)).sum(axis=1).mean()
    return float(2 * energy / length / signal.shape[1])


def _white(rng: np.random.Generator, count: int, length: int) -> NDArray[np.complex64]:
    """Spectra of white noise, (count, bins), for signals of ``length`` samples."""
    return rng.standard_normal((count, length // 2 + 1, 2), np.float32).view(np.complex64)[..., 0]
