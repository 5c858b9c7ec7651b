"""Power spectra of recordings, with the slope of their 1/f part and their peaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch
from scipy.stats import theilslopes

from eeg2speech.core.types import Segment
from eeg2speech.data.timing import Stretch

ALPHA = (7.0, 13.0)
"""Band of the alpha peak in hertz, which is left out of the 1/f fit."""
LONGEST = 4.0
"""Longest duration of one periodogram, in seconds."""
WINDOWS = 600
"""Largest number of periodograms per recording, evenly spaced; more change the spectrum by less than 5 %."""


class Shape(NamedTuple):
    """Shape of a spectrum.

    Attributes:
        slope: Exponent of the 1/f part; -2 is common, 0 is white noise.
        intercept: log10 of its power at 1 Hz.
        alpha_hertz: Frequency of the highest point above the 1/f part within the alpha band.
        alpha_decibels: Its height above the 1/f part.
        peak_hertz: Frequency of the highest point outside the alpha band.
        peak_decibels: Its height above the 1/f part.
    """

    slope: float
    intercept: float
    alpha_hertz: float
    alpha_decibels: float
    peak_hertz: float
    peak_decibels: float


def window_length(segments: list[Segment], rate: float) -> int:
    """Number of samples of one periodogram: 4 s, or the median duration of segments where that is shorter.

    Short segments are often concatenated epochs; a periodogram across a joint would contain a step.
    """
    typical = float(np.median([segment.duration for segment in segments])) if segments else LONGEST
    return max(int(min(typical, LONGEST) * rate + 1e-6), 8)


def power_spectrum(
    eeg: NDArray[np.float32], rate: float, length: int, segments: list[Segment], pieces: Sequence[Stretch] = ()
) -> NDArray[np.float64] | None:
    """Median over channels of each channel's mean power density.

    Args:
        eeg: Signal in microvolts, (channels, samples); may be memory-mapped.
        rate: Samples per second.
        length: Number of samples of one periodogram.
        segments: Segments; periodograms are taken within them where they are no longer than one periodogram.
        pieces: Stretches without interruption; empty for a recording without interruptions.

    Returns:
        Square microvolts per hertz, (length // 2 + 1,), or None if the recording is shorter than one periodogram.
    """
    samples = eeg.shape[1]
    starts = np.array([round(s.onset * rate) for s in segments if s.duration * rate >= length - 1], np.int64)
    if not segments or length >= LONGEST * rate - 1:
        whole = pieces or [(0, samples)]
        starts = np.concatenate([np.arange(first, stop - length + 1, length) for first, stop in whole])
    starts = starts[(starts >= 0) & (starts + length <= samples)]
    if starts.size == 0:
        return None
    starts = starts[:: -(-starts.size // WINDOWS)]
    total = np.zeros((eeg.shape[0], length // 2 + 1))
    for start in starts:
        window = np.nan_to_num(eeg[:, start : start + length])
        total += welch(window, rate, nperseg=length, detrend="linear", axis=1)[1]
    return np.asarray(np.median(total / starts.size, axis=0))


def describe(frequencies: NDArray[np.floating], power: NDArray[np.floating], edge: float) -> Shape:
    """Fit the 1/f part and find the peaks above it.

    Args:
        frequencies: Hertz, (F,).
        power: Square microvolts per hertz, (F,).
        edge: Upper edge of the band that was kept, in hertz; the fit ends at 0.8 of it.
    """
    usable = (frequencies >= 2) & (frequencies <= 0.8 * edge) & (power > 0)
    inside = (frequencies >= ALPHA[0]) & (frequencies <= ALPHA[1]) & (power > 0)
    background = usable & ~inside
    if background.sum() < 3 or not inside.any():
        return Shape(*[float("nan")] * 6)
    # on a logarithmic frequency axis, where the many bins of high frequencies do not dominate; Theil-Sen is robust to
    # line noise
    octaves = np.geomspace(2.0, 0.8 * edge, 40)
    octaves = octaves[(octaves < ALPHA[0]) | (octaves > ALPHA[1])]
    level = np.interp(octaves, frequencies[background], np.log10(power[background]))
    slope, intercept, *_ = theilslopes(level, np.log10(octaves))
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 Hz and empty bins are in neither band
        over = 10 * (np.log10(power) - intercept - slope * np.log10(frequencies))
    alpha = int(np.argmax(np.where(inside, over, -np.inf)))
    peak = int(np.argmax(np.where(background, over, -np.inf)))
    heights = (float(frequencies[alpha]), float(over[alpha]), float(frequencies[peak]), float(over[peak]))
    return Shape(float(slope), float(intercept), *heights)


def sparkline(frequencies: NDArray[np.floating], power: NDArray[np.floating]) -> str:
    """Draw a spectrum from 1 to 40 Hz with one character per hertz, by log power between its minimum and maximum."""
    hertz = np.arange(1, 41)
    reached = hertz[hertz <= frequencies[-1]]
    level = np.log10(np.maximum(np.interp(reached, frequencies, power), 1e-12))
    span = max(float(np.ptp(level)), 1e-9)
    steps = np.round((level - level.min()) / span * 7).astype(int)
    return "".join("▁▂▃▄▅▆▇█"[step] for step in steps)
