from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft, rfftfreq

from eeg2speech.baselines.baseline import Floats

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
_SHORTEST = 2.0  # seconds; shorter windows are padded so that every band holds a frequency
_FLOOR = 1e-12  # keeps the logarithm of a flat channel finite


def band_power(windows: Floats, rate: float) -> NDArray[np.float64]:
    """Log power of each channel in the classical bands: what the features of an encoder are compared with.

    Args:
        windows: EEG, (n, C, T).
        rate: Samples per second; bands above half of it are cut or left out.

    Returns:
        Features, (n, C * bands): the bands of the first channel, then of the second.
    """
    samples = windows.shape[2]
    length = max(samples, round(_SHORTEST * rate))
    frequency = rfftfreq(length, 1 / rate)
    taper = np.hanning(samples + 2)[1:-1]  # without the zeros at the ends
    centred = windows - windows.mean(axis=2, keepdims=True, dtype=np.float64)
    power = np.square(np.abs(rfft(centred * taper, length))) / (rate * np.square(taper).sum())
    inside = [(frequency >= low) & (frequency < high) for low, high in BANDS.values()]
    bands = [np.log10(power[:, :, band].mean(axis=2) + _FLOOR) for band in inside if band.any()]
    return np.stack(bands, axis=2).reshape(len(windows), -1)
