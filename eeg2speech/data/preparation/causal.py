"""Filters that look back only, for systems that must run while the subject listens."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, cheby2, sosfilt, sosfreqz

from eeg2speech.data.preparation.blocks import NOTCH_WIDTH

HIGH_PASS_ORDER = 2
"""The fourth order of ``filter_pieces`` would, run forwards only, delay 1 Hz by 237 ms instead of 132."""
SHORT_ORDER = 1
"""For pieces shorter than two periods of the lower edge: its answer to their offset decays without ringing."""
ALIAS_ORDER, ALIAS_LOSS = 8, 40.0
"""Chebyshev filter of the second kind, and decibels that it takes off what would alias into the band."""

Sections = NDArray[np.float64]


def filter_causally(
    eeg: NDArray[np.float64],
    rate: float,
    new_rate: float,
    band: tuple[float | None, float | None],
    notch: float | None,
) -> NDArray[np.float64]:
    """Filter and resample contiguous pieces so that no sample depends on a later one.

    The causal counterpart of ``pieces.filter_pieces``. Butterworth filters run forwards only, so the band's edges lie
    at -3 dB and everything comes late, low frequencies most. From 500 Hz to 100 Hz in the default band of 0.5 to
    40 Hz the group delay is 152 ms at 1 Hz, 27 ms at 4 Hz and 22 ms at 8 Hz; ``group_delay`` tells that of other
    settings.

    A trend is only known once the piece is over, so it cannot be taken out. Each piece is filtered as if it had stood
    at its first sample for ever instead: a constant offset leaves no trace, and no step rings through the piece.
    Pieces shorter than two periods of the lower edge get a high-pass of first order, which forgets an unlucky first
    sample and follows drifts without ringing.

    Where ``rate`` is no multiple of ``new_rate``, samples are interpolated from the four latest ones, and come about
    one raw sample later for it.

    Args:
        eeg: Pieces, (..., samples).
        rate: Samples per second.
        new_rate: Samples per second wanted.
        band: Lower and upper edge in hertz; either may be None.
        notch: Line frequency in hertz or None.

    Returns:
        The pieces, (..., round(samples * new_rate / rate)).
    """
    samples = eeg.shape[-1]
    length = round(samples * new_rate / rate)
    if length == 0:
        return eeg[..., :0]
    eeg = eeg - eeg[..., :1]
    for sections in _filters(samples, rate, new_rate, band, notch):
        eeg = sosfilt(sections, eeg, axis=-1)
    return _decimate(eeg, rate / new_rate, length)


def group_delay(
    rate: float,
    new_rate: float,
    band: tuple[float | None, float | None],
    notch: float | None,
    hertz: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How late ``filter_causally`` hands out the envelope of an oscillation, in long pieces.

    Args:
        rate: Samples per second.
        new_rate: Samples per second wanted.
        band: Lower and upper edge in hertz; either may be None.
        notch: Line frequency in hertz or None.
        hertz: Frequencies to tell the delay of.

    Returns:
        Seconds, in the shape of ``hertz``.
    """
    step = 1e-4  # hertz: narrow enough that the phase is straight, wide enough for its rounding
    around = np.stack([hertz - step, hertz + step]).ravel()
    phase = np.zeros((2, np.size(hertz)))
    for sections in _filters(math.inf, rate, new_rate, band, notch):
        phase += np.angle(sosfreqz(sections, around, fs=rate)[1]).reshape(phase.shape)
    if not (rate / new_rate).is_integer():
        phase += np.angle(_interpolation(around / rate)).reshape(phase.shape)
    turned = (phase[1] - phase[0] + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(-turned / (4 * np.pi * step)).reshape(np.shape(hertz))


def _filters(
    samples: float, rate: float, new_rate: float, band: tuple[float | None, float | None], notch: float | None
) -> list[Sections]:
    """Second-order sections of every filter that a piece of so many samples goes through."""
    low, high = band
    filters = []
    if low is not None:
        order = SHORT_ORDER if samples < 2 * rate / low else HIGH_PASS_ORDER
        filters.append(butter(order, low, "highpass", fs=rate, output="sos"))
    if high is not None:
        filters.append(butter(4, high, "lowpass", fs=rate, output="sos"))
    if notch is not None and notch + NOTCH_WIDTH < rate / 2 and notch < 1.5 * (high or math.inf):
        edges = [notch - NOTCH_WIDTH / 2, notch + NOTCH_WIDTH / 2]
        filters.append(butter(2, edges, "bandstop", fs=rate, output="sos"))
    # frequencies from here on would alias to below the upper edge, or to below 80 % of what the new rate can hold
    alias = new_rate - min(high or math.inf, 0.4 * new_rate)
    if new_rate < rate and alias < rate / 2:
        filters.append(cheby2(ALIAS_ORDER, ALIAS_LOSS, alias, fs=rate, output="sos"))
    return filters


def _decimate(eeg: NDArray[np.float64], step: float, length: int) -> NDArray[np.float64]:
    """Take samples at multiples of ``step``, by cubic interpolation one sample back where it is no whole number."""
    if float(step).is_integer():
        return np.asarray(eeg[..., :: int(step)][..., :length])
    times = np.arange(length) * step
    newest = np.floor(times + 1e-9).astype(np.intp)  # a time that is whole but for rounding has reached its sample
    newest = np.minimum(newest, eeg.shape[-1] - 1)
    found = np.zeros((*eeg.shape[:-1], length))
    for node, weight in enumerate(_weights(times - newest)):
        # before its first sample a piece stands still
        found += weight * eeg[..., np.maximum(newest - 3 + node, 0)]
    return found


def _weights(later: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Weights of the four latest samples, the oldest first, for times ``later`` samples after the last, in [0, 1)."""
    place = later + 2.0  # one sample back, where the oldest is number 0
    nodes = range(4)
    return [np.prod([(place - other) / (node - other) for other in nodes if other != node], axis=0) for node in nodes]


def _interpolation(frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Mean response of the interpolation over all times between two samples, at frequencies in cycles per sample."""
    later = np.linspace(0, 1, 64, endpoint=False)
    ages = np.stack([later + 3 - node for node in range(4)])
    turned = np.exp(-2j * np.pi * frequency[:, None, None] * ages)
    return np.asarray((np.stack(_weights(later)) * turned).sum(axis=1).mean(axis=1))
