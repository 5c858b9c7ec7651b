"""A recording piece by piece through the filters, a few channels at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eeg2speech.data.preparation.bad_channels import fill_gaps, flat_channels
from eeg2speech.data.preparation.blocks import Blocks, filter_pieces
from eeg2speech.data.preparation.causal import filter_causally
from eeg2speech.data.timing.stretches import Stretch

if TYPE_CHECKING:
    from eeg2speech.data.preparation.preprocess import Preprocessing

BLOCK = 2**24
"""Samples filtered at once, over all channels: bounds the memory that a long recording needs."""


def filtered(
    signal: NDArray[np.floating],
    pieces: Blocks,
    gaps: Sequence[Stretch],
    short: Sequence[Stretch],
    settings: Preprocessing,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Filter and resample a recording piece by piece, a few channels at a time.

    Args:
        signal: As recorded, in microvolts, (channels, samples).
        pieces: Its pieces before and after resampling.
        gaps: Samples at which nothing was recorded, which become zero.
        short: Samples that are missing in all channels and filled like those that are NaN.
        settings: What to do.

    Returns:
        The signal, (channels, new samples), and which channels are flat, (channels,).
    """
    apply = filter_causally if settings.causal else filter_pieces
    low, high = settings.band
    if high is not None and high >= pieces.rate / 2:  # only where a slow recording is interpolated up
        high = None
    eeg = np.empty((len(signal), pieces.new_starts[-1]), np.float32)
    flat = np.zeros(len(signal), bool)
    held = [old for old, _ in pieces.outside(gaps)]
    step = max(BLOCK // max(signal.shape[1], 1), 1)
    for first in range(0, len(signal), step):
        block = slice(first, first + step)
        part = np.array(signal[block], np.float64)
        for value, stretches in ((0.0, gaps), (np.nan, short)):
            for gone, back in stretches:
                part[:, gone:back] = value
        fill_gaps(part, np.asarray(pieces.starts))
        if settings.flat is not None:
            flat[block] = flat_channels(part, held, pieces.rate, settings.flat)
        for old, new in pieces.by_length():
            eeg[block, new] = apply(part[:, old], pieces.rate, settings.rate, (low, high), settings.notch)
    return eeg, flat
