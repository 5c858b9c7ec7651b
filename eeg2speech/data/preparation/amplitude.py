"""Implausible amplitudes, as of a missing or misread unit, and the factor that would correct them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.types import Channel
from eeg2speech.data.timing import Stretch

PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "eeg": (0.5, 500.0),
    "seeg": (0.5, 5000.0),
    "ecog": (0.5, 5000.0),
    "mag": (5.0, 50_000.0),
    "grad": (0.5, 5000.0),
}
"""Limits of the median absolute deviation of a filtered signal, in microvolts, femtoteslas, femtoteslas per
centimetre."""
FAST, SMALLER = 8.0, 10.0
"""Hertz above which activity may be smaller by this factor, as its power falls with frequency."""
UNITS = {
    "volt": {"µV": 1.0, "mV": 1e3, "V": 1e6},
    "mag": {"fT": 1.0, "pT": 1e3, "nT": 1e6, "T": 1e15},
    "grad": {"fT/cm": 1.0, "pT/cm": 1e3, "T/m": 1e13, "T/cm": 1e15},
}
"""Units as multiples of the store's unit, which is the first."""
NAMES = {
    "eeg": "EEG channels",
    "seeg": "sEEG channels",
    "ecog": "ECoG channels",
    "mag": "magnetometers",
    "grad": "gradiometers",
}
WITHIN = 3.0
"""A factor is named only if it brings the amplitude at least this far inside its limits."""
SAMPLES = 10_000
"""Samples of a channel from which its amplitude is measured."""

logger = logging.getLogger(__name__)


def typical_amplitude(eeg: NDArray[np.floating]) -> float:
    """Median over channels of the median absolute deviation, in the unit of the signal; 0 without channels.

    Args:
        eeg: Filtered signal, (channels, samples).
    """
    if not eeg.size:
        return 0.0
    some = np.asarray(eeg[:, :: max(1, eeg.shape[1] // SAMPLES)], np.float64)
    return float(np.median(np.median(np.abs(some - np.median(some, axis=1, keepdims=True)), axis=1)))


def unlikely_amplitude(level: float, kind: str, low_edge: float | None) -> str:
    """Describe an implausible amplitude and the factor that would correct it.

    Args:
        level: Result of ``typical_amplitude``, in microvolts (femtoteslas, femtoteslas per centimetre).
        kind: Type of the channels.
        low_edge: Lower edge of the band that was kept in hertz, or None.

    Returns:
        Words that follow "median amplitude of"; empty if the amplitude is plausible.
    """
    low, high = PLAUSIBLE[kind]
    if low_edge is not None and low_edge >= FAST:
        low, high = low / SMALLER, high / SMALLER
    if level == 0 or low <= level <= high:
        return ""
    (unit, _), *others = UNITS.get(kind, UNITS["volt"]).items()
    text = f"{level:.3g} {unit}, where {NAMES[kind]} have {low:g} to {high:g}"
    factors = {size: f"{other} taken for {unit}" for other, size in others}
    factors |= {1 / size: f"{unit} taken for {other}" for other, size in others}
    middle = math.sqrt(low * high)
    factor = min(factors, key=lambda factor: abs(math.log(level * factor / middle)))
    if not WITHIN * low <= level * factor <= high / WITHIN:
        return f"{text}; the unit may have been misread"
    return (
        f"{text}; the unit may have been misread: it looks like {factors[factor]}, so multiply by {factor:g} (in "
        f"`eeg2speech prepare bids` and `files`: --gain {factor:g}, times any --gain given so far)"
    )


def recorded_samples(eeg: NDArray[np.floating], held: Sequence[Stretch]) -> NDArray[np.floating]:
    """Evenly spaced samples of the recorded stretches, (channels, at most twice ``SAMPLES``).

    Args:
        eeg: Signal, (channels, samples).
        held: Stretches that were recorded.
    """
    at = np.concatenate([np.arange(0), *(np.arange(first, stop) for first, stop in held)])
    return eeg[:, at[:: max(1, len(at) // SAMPLES)]]


def warn_of_amplitude(
    eeg: NDArray[np.floating],
    channels: Sequence[Channel],
    held: Sequence[Stretch],
    low_edge: float | None,
    source: str,
) -> None:
    """Warn if the good channels of a type have an implausible amplitude.

    Args:
        eeg: Filtered signal, (channels, samples).
        channels: One per row of it.
        held: Stretches that were recorded.
        low_edge: Lower edge of the band that was kept in hertz, or None.
        source: The recording.
    """
    some = recorded_samples(eeg, held)
    for kind in dict.fromkeys(channel.type for channel in channels):
        rows = [row for row, c in enumerate(channels) if c.type == kind and c.status == "good"]
        fault = unlikely_amplitude(typical_amplitude(some[rows]), kind, low_edge)
        if fault:
            logger.warning("%s: median amplitude of %s", source, fault)
