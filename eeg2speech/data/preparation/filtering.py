"""Filters of contiguous blocks: zero-phase ones, and causal ones for systems that run while the subject listens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy
from mne.filter import filter_data, notch_filter
from numpy.typing import NDArray

from eeg2speech.data.preparation.bad_channels import fill_gaps, flat_channels
from eeg2speech.data.preparation.blocks import Blocks
from eeg2speech.data.preparation.resampling import resampled
from eeg2speech.data.timing import Stretch

if TYPE_CHECKING:
    from eeg2speech.data.preparation.preprocess import Preprocessing

NOTCH_WIDTH = 2.0
"""Width of the notch in hertz, so that its ringing ends after half a second."""
HIGH_PASS_ORDER = 2
"""Order of the causal high-pass. The zero-phase filter's order of 4 would delay 1 Hz by 237 ms instead of 132."""
SHORT_ORDER = 1
"""Order for blocks shorter than two periods of the lower edge: its response to their offset decays without ringing."""
ALIAS_ORDER, ALIAS_LOSS = 8, 40.0
"""Causal Chebyshev filter of the second kind, and decibels by which it attenuates what would alias into the band."""
BLOCK = 2**24
"""Samples filtered at once, over all channels: limits the memory that a long recording needs."""

Band = tuple[float | None, float | None]
Sections = NDArray[np.float64]


def filter_recording(
    signal: NDArray[np.floating],
    blocks: Blocks,
    gaps: Sequence[Stretch],
    short: Sequence[Stretch],
    settings: Preprocessing,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Filter and resample a recording block by block, a few channels at a time.

    Args:
        signal: As recorded, in microvolts, (channels, samples).
        blocks: Its blocks before and after resampling.
        gaps: Samples at which nothing was recorded, which become zero.
        short: Samples that are missing in all channels and interpolated like NaN.
        settings: Band, notch, rate and limits.

    Returns:
        The signal, (channels, new samples), and which channels are flat, (channels,).
    """
    apply = filter_causally if settings.causal else filter_blocks
    low, high = settings.band
    if high is not None and high >= blocks.rate / 2:  # only if a slow recording is upsampled
        high = None
    eeg = np.empty((len(signal), blocks.new_starts[-1]), np.float32)
    flat = np.zeros(len(signal), bool)
    held = [old for old, _ in blocks.outside(gaps)]
    step = max(BLOCK // max(signal.shape[1], 1), 1)
    for first in range(0, len(signal), step):
        rows = slice(first, first + step)
        part = np.array(signal[rows], np.float64)
        for value, stretches in ((0.0, gaps), (np.nan, short)):
            for gone, back in stretches:
                part[:, gone:back] = value
        fill_gaps(part, np.asarray(blocks.starts))
        if settings.flat is not None:
            flat[rows] = flat_channels(part, held, blocks.rate, settings.flat)
        for old, new in blocks.by_length():
            eeg[rows, new] = apply(part[:, old], blocks.rate, settings.rate, (low, high), settings.notch)
    return eeg, flat


def filter_blocks(
    eeg: NDArray[np.float64], rate: float, new_rate: float, band: Band, notch: float | None
) -> NDArray[np.float64]:
    """Detrend, filter and resample blocks without a delay.

    Butterworth filters of order 4 run forwards and backwards, so the attenuation at the band's edges is 6 dB. A block
    shorter than two periods of the lower edge is not high-passed: detrending already removes what is slower than the
    block, and the filter would only add transients at both ends.

    Args:
        eeg: Blocks, (..., samples).
        rate: Samples per second.
        new_rate: Samples per second of the result.
        band: Lower and upper edge in hertz; either may be None.
        notch: Line frequency in hertz or None.

    Returns:
        The blocks, (..., round(samples * new_rate / rate)).
    """
    samples = eeg.shape[-1]
    if round(samples * new_rate / rate) == 0:
        return eeg[..., :0]
    low, high = band
    if low is not None and samples < 2 * rate / low:
        low = None
    eeg = scipy.signal.detrend(eeg) if samples > 1 else eeg - eeg
    if low is not None or high is not None:
        order = {"order": 4, "ftype": "butter", "output": "sos"}
        eeg = filter_data(eeg, rate, low, high, method="iir", iir_params=order, verbose="ERROR")
    if notch is not None and _is_notched(notch, rate, high):
        order = {"order": 2, "ftype": "butter", "output": "sos"}
        eeg = notch_filter(
            eeg, rate, [notch], method="iir", notch_widths=NOTCH_WIDTH, iir_params=order, verbose="ERROR"
        )
    return np.asarray(resampled(eeg, rate, new_rate), np.float64)


def filter_causally(
    eeg: NDArray[np.float64], rate: float, new_rate: float, band: Band, notch: float | None
) -> NDArray[np.float64]:
    """Filter and resample blocks so that no sample depends on a later one; see ``filter_blocks`` for the arguments.

    Butterworth filters run forwards only, so the attenuation at the band's edges is 3 dB and the signal is delayed,
    low frequencies most. From 500 Hz to 100 Hz in the default band of 0.5 to 40 Hz, the group delay is 152 ms at 1 Hz,
    27 ms at 4 Hz and 22 ms at 8 Hz; ``group_delay`` computes it for other settings.

    Detrending would need the whole block. Instead, the block is filtered as if its first sample had lasted for ever:
    a constant offset leaves no trace, and no step rings through the block. Blocks shorter than two periods of the
    lower edge get a high-pass of first order, which follows drifts without ringing.

    If ``rate`` is not a multiple of ``new_rate``, samples are interpolated from the four latest ones, which adds a
    delay of about one raw sample.
    """
    samples = eeg.shape[-1]
    length = round(samples * new_rate / rate)
    if length == 0:
        return eeg[..., :0]
    eeg = eeg - eeg[..., :1]
    for sections in _causal_filters(samples, rate, new_rate, band, notch):
        eeg = scipy.signal.sosfilt(sections, eeg, axis=-1)
    return _decimate(eeg, rate / new_rate, length)


def group_delay(
    rate: float, new_rate: float, band: Band, notch: float | None, hertz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Delay by ``filter_causally`` of the envelope of an oscillation, in long blocks.

    Args:
        rate: Samples per second.
        new_rate: Samples per second of the result.
        band: Lower and upper edge in hertz; either may be None.
        notch: Line frequency in hertz or None.
        hertz: Frequencies of the oscillation.

    Returns:
        Seconds, in the shape of ``hertz``.
    """
    step = 1e-4  # hertz: narrow enough that the phase is linear, wide enough for its rounding
    around = np.stack([hertz - step, hertz + step]).ravel()
    phase = np.zeros((2, np.size(hertz)))
    for sections in _causal_filters(math.inf, rate, new_rate, band, notch):
        phase += np.angle(scipy.signal.sosfreqz(sections, around, fs=rate)[1]).reshape(phase.shape)
    if not (rate / new_rate).is_integer():
        phase += np.angle(_interpolation(around / rate)).reshape(phase.shape)
    turned = (phase[1] - phase[0] + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(-turned / (4 * np.pi * step)).reshape(np.shape(hertz))


def _is_notched(notch: float, rate: float, high: float | None) -> bool:
    """Whether a recording contains the line frequency, and the band does not end well below it."""
    return notch + NOTCH_WIDTH < rate / 2 and (high is None or notch < 1.5 * high)


def _causal_filters(samples: float, rate: float, new_rate: float, band: Band, notch: float | None) -> list[Sections]:
    """Second-order sections of every filter for a block of so many samples."""
    low, high = band
    filters = []
    if low is not None:
        order = SHORT_ORDER if samples < 2 * rate / low else HIGH_PASS_ORDER
        filters.append(scipy.signal.butter(order, low, "highpass", fs=rate, output="sos"))
    if high is not None:
        filters.append(scipy.signal.butter(4, high, "lowpass", fs=rate, output="sos"))
    if notch is not None and _is_notched(notch, rate, high):
        edges = [notch - NOTCH_WIDTH / 2, notch + NOTCH_WIDTH / 2]
        filters.append(scipy.signal.butter(2, edges, "bandstop", fs=rate, output="sos"))
    # frequencies above would alias to below the upper edge, or to below 80 % of the new Nyquist frequency
    alias = new_rate - min(high or math.inf, 0.4 * new_rate)
    if new_rate < rate and alias < rate / 2:
        filters.append(scipy.signal.cheby2(ALIAS_ORDER, ALIAS_LOSS, alias, fs=rate, output="sos"))
    return filters


def _decimate(eeg: NDArray[np.float64], step: float, length: int) -> NDArray[np.float64]:
    """Take samples at multiples of ``step``; if it is not a whole number, by cubic interpolation one sample back."""
    if float(step).is_integer():
        return np.asarray(eeg[..., :: int(step)][..., :length])
    times = np.arange(length) * step
    newest = np.floor(times + 1e-9).astype(np.intp)  # a time that is whole but for rounding has reached its sample
    newest = np.minimum(newest, eeg.shape[-1] - 1)
    found = np.zeros((*eeg.shape[:-1], length))
    for node, weight in enumerate(_weights(times - newest)):
        # before its first sample, a block is constant
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
