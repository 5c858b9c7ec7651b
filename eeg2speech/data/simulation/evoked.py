"""Response to speech: temporal response functions in both auditory cortices, projected to the scalp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from eeg2speech.data.simulation.features import FEATURES, FRAME_RATE, Features
from eeg2speech.data.simulation.head import Head, unit

KERNEL = 0.6
"""Length of a response in seconds."""

# Peaks of each kind of response: latency and width (standard deviation) in seconds, amplitude.
_PEAKS = {
    "envelope": ((0.050, 0.014, 0.55), (0.100, 0.020, -1.0), (0.190, 0.036, 0.8)),
    "onset": ((0.048, 0.010, 0.80), (0.095, 0.016, -1.2), (0.190, 0.032, 0.7)),
    "band": ((0.055, 0.014, 0.50), (0.105, 0.020, -1.0), (0.200, 0.036, 0.6)),
    "class": ((0.080, 0.018, 0.30), (0.130, 0.024, -0.8), (0.230, 0.040, 1.0), (0.360, 0.060, -0.5)),
}
# Bands and classes come in eights, so that each is weaker than the one envelope.
_WEIGHTS = {"envelope": 1.0, "onset": 1.0, "band": 0.36, "class": 0.36}
_EARLIEST = 0.01  # seconds: the auditory nerve and brainstem are not simulated


@dataclass(frozen=True)
class Listener:
    """How one subject's auditory cortex responds.

    Attributes:
        features: Row of the features that drives each dipole, (dipoles,).
        kernels: Response of each dipole at 100 Hz, (dipoles, frames).
        leadfield: From dipoles to electrodes, (C, dipoles).
    """

    features: NDArray[np.intp]
    kernels: NDArray[np.float32]
    leadfield: NDArray[np.float32]


def make_listener(head: Head, rng: np.random.Generator, population: np.random.Generator) -> Listener:
    """Draw one subject's auditory cortex from the population.

    Args:
        head: Head with its electrodes.
        rng: Generator of the subject, for latencies, amplitudes, positions and directions.
        population: Generator of all subjects, for positions of phonetic classes. It must be newly seeded.
    """
    late = rng.normal(0, 0.010)
    place = {side: rng.normal(0, 0.005, 3) for side in (-1, 1)}
    fold = {side: rng.normal(0, 0.25, 3) for side in (-1, 1)}
    strength = {side: np.exp(rng.normal(0, 0.3)) for side in (-1, 1)}
    rows, kernels, positions, directions = [], [], [], []
    for row, (kind, number) in enumerate(FEATURES):
        weight = _WEIGHTS[kind] * np.exp(rng.normal(0, 0.2))
        shared = population.normal(0, 1, 3)
        for side in (-1, 1):
            position, direction = _representation(kind, number, side, shared)
            rows.append(row)
            positions.append(position + place[side])
            directions.append(unit(direction) + fold[side] + rng.normal(0, 0.08, 3))
            # high frequencies travel less far along the cochlea; the right hemisphere is a little ahead
            delay = late + (0.0015 * (7 - number) if kind == "band" else 0) - (0.003 if side == 1 else 0)
            kernels.append(weight * strength[side] * _response(kind, delay, rng))
    leadfield = head.leadfield(np.array(positions), np.array(directions))
    return Listener(np.array(rows), np.array(kernels, np.float32), leadfield)


def evoke(listener: Listener, features: Features, rate: float) -> NDArray[np.float32]:
    """Response on the scalp in arbitrary units, (C, samples).

    Args:
        listener: The subject.
        features: Features of the sounds at 100 Hz, (len(FEATURES), frames), a whole number of seconds.
        rate: Samples per second of the result, a whole number.
    """
    frames = features.shape[1]
    # a whole number of seconds makes both rates fit; the extra one keeps responses from wrapping around
    seconds = next_fast_len(frames // FRAME_RATE + 1, real=True)
    length, wanted = seconds * FRAME_RATE, seconds * int(rate)
    spectra = rfft(features, length, axis=1)
    sources = rfft(listener.kernels, length, axis=1)
    for source, row in zip(sources, listener.features, strict=True):
        source *= spectra[row]
    scalp = _mix(listener.leadfield, sources)
    samples = frames * int(rate) // FRAME_RATE
    # zeros above the features' 50 Hz: band-limited interpolation to the rate of the recording
    evoked: NDArray[np.float32] = irfft(scalp, wanted, axis=1)[:, :samples]
    return evoked


def _mix(leadfield: NDArray[np.float32], spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Apply a real matrix, (C, dipoles), to complex spectra, (dipoles, bins), as one real product."""
    return (leadfield @ spectra.view(np.float32)).view(np.complex64)


def _representation(kind: str, number: int, side: int, shared: NDArray[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    """Position in metres and direction of a feature's dipole in one hemisphere (side -1 left, 1 right)."""
    if kind == "band":  # a tonotopic gradient along Heschl's gyrus that also turns with its fold
        step = number - 3.5
        position = np.array([side * (0.052 - 0.0022 * number), 0.004 - 0.002 * number, 0.052 + 0.001 * number])
        return position, np.array([side * (0.25 + 0.10 * step), 0.45 - 0.1 * step, 1.0])
    if kind == "class":  # spread over the superior temporal gyrus, equally in all subjects
        position = np.array([side * 0.055, -0.012, 0.050]) + 0.006 * shared
        return position, np.array([side * 0.3, 0.2, 1.0]) + 0.45 * shared
    return np.array([side * 0.048, 0.0, 0.054]), np.array([side * 0.2, 0.4, 1.0])


def _response(kind: str, delay: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Temporal response function at 100 Hz, (frames,), ``delay`` seconds late."""
    time = np.arange(round(KERNEL * FRAME_RATE)) / FRAME_RATE
    response = np.zeros_like(time)
    for latency, width, amplitude in _PEAKS[kind]:
        peak = latency + delay + rng.normal(0, 0.006)
        height = amplitude * np.exp(rng.normal(0, 0.25))
        response += height * np.exp(-0.5 * ((time - peak) / width) ** 2)
    return np.where(time >= _EARLIEST, response, 0)
