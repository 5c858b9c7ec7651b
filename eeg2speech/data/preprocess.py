"""From a raw recording to the signal in the store: bad channels, filters, resampling, reference."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eeg2speech.data.bad_channels import deviating_channels, fill_gaps, flat_channels, replace_bad
from eeg2speech.data.pieces import Pieces, filter_pieces
from eeg2speech.errors import ConfigError, DataError
from eeg2speech.types import Channel, RawRecording, Segment

MAX_MISSING = 0.01
"""Fraction of a channel's samples that may be NaN or infinite (interpolated in time); more makes it bad."""
BLOCK = 2**25
"""Samples filtered at once, over all channels: bounds the memory that a long recording needs."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every recording before it is stored.

    Attributes:
        rate: Samples per second in the store (hertz).
        band: Edges of the band-pass in hertz; either may be null. Pieces shorter than two periods of the
            lower edge are detrended instead of high-passed.
        notch: Line frequency in hertz, null for none; passed over where the band ends well below it.
        reference: `average` of all channels, or `none` to keep the recording's own.
        bad: Names of channels to treat as bad in every recording.
        flat: A channel is bad if its peak-to-peak amplitude within a second stays below this for more than
            half of the time (microvolts); null for no check.
        deviation: A channel is bad if its log standard deviation lies further than this from the other
            channels' (robust z-score); null for no check.
        interpolate: Replace bad channels by a spherical-spline interpolation; otherwise they are zero.
    """

    rate: float = 100.0
    band: tuple[float | None, float | None] = (0.5, 40.0)
    notch: float | None = 50.0
    reference: Literal["average", "none"] = "average"
    bad: list[str] = field(default_factory=list)
    flat: float | None = 0.1
    deviation: float | None = 5.0
    interpolate: bool = True

    def check(self) -> None:
        """Refuse settings that no recording could satisfy.

        Raises:
            ConfigError: A value is out of range or contradicts another.
        """
        low, high = self.band
        if not self.rate > 0:
            raise ConfigError(f"preprocessing.rate={self.rate:g} must be above 0 Hz")
        for name, value in {"notch": self.notch, "flat": self.flat, "deviation": self.deviation}.items():
            if value is not None and not value > 0:
                raise ConfigError(f"preprocessing.{name}={value:g} must be above 0; null turns it off")
        if (low is not None and not low > 0) or (low is not None and high is not None and not low < high):
            raise ConfigError(f"preprocessing.band={list(self.band)} must ascend from above 0 Hz; null leaves one open")
        if high is not None and not 0 < high < self.rate / 2:
            raise ConfigError(f"preprocessing.band={list(self.band)} must end below half of rate={self.rate:g}")


def preprocess(
    raw: RawRecording, settings: Preprocessing, source_name: str
) -> tuple[NDArray[np.float32], list[Channel], list[Segment]]:
    """Prepare one recording.

    Args:
        raw: What a reader has read.
        settings: What to do.
        source_name: The recording, for error messages.

    Returns:
        Signal in microvolts, (channels, samples); its channels, ``bad`` where interpolated or zero; its
        segments, in seconds of the new signal.

    Raises:
        ConfigError: The settings contradict each other or the recording.
        DataError: The recording contradicts itself, or too little of it is usable.
    """
    settings.check()
    rows = _eeg_rows(raw, settings, source_name)
    channels = [raw.channels[row] for row in rows]
    try:
        pieces = Pieces.of(raw.eeg.shape[1], raw.breaks, raw.rate, settings.rate)
        segments = [pieces.moved(segment) for segment in raw.segments]
    except DataError as error:
        raise DataError(f"{source_name}: {error}") from error
    samples = pieces.new_starts[-1]
    if samples == 0:
        raise DataError(f"{source_name}: {raw.eeg.shape[1]} samples at {raw.rate:g} Hz, too short; leave it out")

    eeg = np.empty((len(rows), samples), np.float32)
    bad = np.array([channel.name in settings.bad for channel in channels])
    missing = np.zeros(len(rows))
    starts = np.asarray(pieces.starts)
    step = max(BLOCK // raw.eeg.shape[1], 1)
    for first in range(0, len(rows), step):
        block = slice(first, first + step)
        signal = np.array(raw.eeg[rows[block]], np.float64)
        signal *= 1e6
        missing[block] = fill_gaps(signal, starts)
        if settings.flat is not None:
            bad[block] |= flat_channels(signal, starts, raw.rate, settings.flat)
        for old, new in pieces.by_length():
            eeg[block, new] = filter_pieces(signal[:, old], raw.rate, settings.rate, settings.band, settings.notch)
    bad |= missing > MAX_MISSING
    if missing.any():
        logger.info("%s: %d missing samples interpolated", source_name, round(missing.sum() * raw.eeg.shape[1]))
    if settings.deviation is not None and not bad.all():
        bad |= deviating_channels(eeg, bad, settings.deviation)
    _check_bad(bad, channels, source_name)

    positions = np.array([(channel.x, channel.y, channel.z) for channel in channels])
    live = replace_bad(eeg, positions, bad, settings.interpolate)
    if settings.reference == "average":
        eeg[live] -= eeg[live].mean(axis=0)
    marked = [replace(c, status="bad" if is_bad else "good") for c, is_bad in zip(channels, bad, strict=True)]
    return eeg, marked, segments


def _eeg_rows(raw: RawRecording, settings: Preprocessing, source_name: str) -> list[int]:
    """Rows that are EEG, after checking that the recording fits itself and the settings."""
    if raw.eeg.ndim != 2 or len(raw.channels) != raw.eeg.shape[0]:
        raise DataError(
            f"{source_name}: signal of shape {raw.eeg.shape}, {len(raw.channels)} channels; check the reader"
        )
    rows = [row for row, channel in enumerate(raw.channels) if channel.type == "eeg"]
    if not rows:
        raise DataError(f"{source_name}: none of its {len(raw.channels)} channels is EEG; correct the channel types")
    names = Counter(raw.channels[row].name for row in rows)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise DataError(f"{source_name}: channel {twice[0]} occurs {names[twice[0]]} times; rename or drop one")
    unknown = [name for name in settings.bad if name not in names]
    if unknown:
        raise ConfigError(f"preprocessing.bad={unknown[0]!r} is no channel of {source_name}; it has {', '.join(names)}")
    if not raw.rate >= settings.rate:
        raise DataError(
            f"{source_name}: recorded at {raw.rate:g} Hz, lower preprocessing.rate={settings.rate:g} to that"
        )
    high = settings.band[1]
    if high is not None and high >= raw.rate / 2:
        raise DataError(
            f"{source_name}: recorded at {raw.rate:g} Hz, so preprocessing.band={list(settings.band)} "
            f"must end below {raw.rate / 2:g}"
        )
    return rows


def _check_bad(bad: NDArray[np.bool_], channels: list[Channel], source_name: str) -> None:
    if bad.sum() > len(bad) / 2:
        names = ", ".join(channel.name for channel, is_bad in zip(channels, bad, strict=True) if is_bad)
        raise DataError(
            f"{source_name}: {bad.sum()} of {len(bad)} channels are bad ({names}); leave the recording out, "
            "or loosen preprocessing.flat and preprocessing.deviation"
        )
