"""Resampling between rates that have no ratio of small whole numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import i0

REACH = 10
"""Zero crossings of the kernel on either side, and the shape of its window: as ``scipy.signal.resample_poly`` has."""
SHAPE = 5.0
STEPS = 512
"""Values of the kernel from one zero crossing to the next; between them it is interpolated, to about 1e-5."""
BLOCK = 2**20
"""Weights computed at once."""


def resample_anywhere(wave: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Resample with a windowed sinc that is evaluated at every new sample; outside the waveform is silence.

    Memory beyond the two waveforms is bounded, whatever the ratio.

    Args:
        wave: (samples,).
        ratio: New rate by old rate.

    Returns:
        (ceil(samples * ratio),); sample k lies at k / ratio old samples.
    """
    cutoff = min(ratio, 1.0)  # of half the old rate
    kernel = _kernel()
    taps = math.ceil(REACH / cutoff)
    padded = np.pad(wave, (taps, taps + 1))
    made = np.empty(math.ceil(len(wave) * ratio), np.float32)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * taps + 1)
    size = max(BLOCK // (2 * taps + 1), 1)
    for first in range(0, len(made), size):
        times = np.arange(first, min(first + size, len(made))) / ratio
        centres = np.floor(times).astype(np.intp)
        distance = np.abs(centres[:, None] + np.arange(-taps, taps + 1) - times[:, None]) * (cutoff * STEPS)
        index = np.minimum(distance.astype(np.intp), len(kernel) - 2)
        part = distance - index
        weights = (1 - part) * kernel[index] + part * kernel[index + 1]
        weights[distance >= REACH * STEPS] = 0.0
        made[first : first + len(times)] = cutoff * np.einsum("nt,nt->n", weights, around[centres])
    return made


def _kernel() -> NDArray[np.float64]:
    """One side of the windowed sinc of area 1, from its middle to its last zero crossing."""
    at = np.arange(REACH * STEPS + 1) / STEPS
    values: NDArray[np.float64] = np.sinc(at) * i0(SHAPE * np.sqrt(np.clip(1 - (at / REACH) ** 2, 0, 1)))
    values *= STEPS / (2 * values.sum() - values[0])
    return values
