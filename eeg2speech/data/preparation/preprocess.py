"""Preprocessing of a raw recording: filters, resampling, bad channels, components, reference, rejection."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import DECODABLE, Channel, RawRecording, Segment
from eeg2speech.data.electrodes.montage import check_positions, places_of
from eeg2speech.data.electrodes.names import find_channels
from eeg2speech.data.preparation.amplitude import warn_of_amplitude
from eeg2speech.data.preparation.bad_channels import judge_channels, replace_bad, rows_by_kind
from eeg2speech.data.preparation.blocks import Blocks
from eeg2speech.data.preparation.decimation import chunked_decimate, whole_factor
from eeg2speech.data.preparation.dropouts import is_long
from eeg2speech.data.preparation.filtering import filter_recording
from eeg2speech.data.preparation.ica import Ica, apply_ica, fit_ica
from eeg2speech.data.preparation.rejection import bad_stretches, without
from eeg2speech.data.timing import Clock, Stretch

DROPOUT = "dropouts of all channels"
FILLED_IN = "short dropouts of all channels, filled with a line"
AMPLITUDE = "amplitude"
"""Reasons for which parts of a recording are lost, as ``dropped.tsv`` names them."""
GAIN = {"eeg": 1e6, "seeg": 1e6, "ecog": 1e6, "mag": 1e15, "grad": 1e13}
"""From volts to microvolts, from teslas to femtoteslas, from teslas per metre to femtoteslas per centimetre."""
ELECTRIC = ("eeg", "seeg", "ecog")

logger = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A preprocessed recording.

    Attributes:
        eeg: Microvolts (femtoteslas, femtoteslas per centimetre), (channels, samples); zero where nothing was recorded.
        channels: One per row, ``bad`` if interpolated or zero.
        segments: In seconds of the signal; none crosses a break.
        blocks: Contiguous blocks of samples that were recorded.
        lost: Seconds that are not in ``segments`` or not as they were measured, by reason.
    """

    eeg: NDArray[np.float32]
    channels: list[Channel]
    segments: list[Segment]
    blocks: list[Stretch]
    lost: dict[str, float]


@dataclass(frozen=True)
class Preprocessing:
    """Settings of the preprocessing, the same for every recording of a store.

    Attributes:
        rate: Samples per second in the store (hertz).
        upsample: Interpolate recordings of a lower rate instead of refusing them.
        band: Edges of the band-pass in hertz; either may be null. Contiguous blocks shorter than two periods of the
            lower edge are detrended instead of high-passed.
        notch: Line frequency in hertz, null for none; ignored if the band ends well below it.
        reference: `average` of all channels, or `none` to keep the recording's own.
        bad: Names of channels that are bad in every recording.
        flat: A channel is bad if its peak-to-peak amplitude within a second is below this for more than half of the
            time (microvolts); null for no check.
        deviation: A channel is bad if its log standard deviation is further than this from that of the other channels
            (robust z-score); null for no check.
        interpolate: Replace bad channels by a spherical-spline interpolation; otherwise they are zero.
        causal: Filter forwards only, so that no sample depends on later ones; this delays the signal. Gaps, bad
            channels and components are still found from the whole recording.
        reject: Cut seconds out of segments in which channels exceed this peak-to-peak amplitude (microvolts); `auto`
            estimates a limit for each channel from the recording; null for no check.
        reject_share: A second is cut out if more than this share of the channels exceed their limit. With `auto`, 0.1
            removes a third of the clean seconds, 0.5 misses a tenth of the bad ones.
        shortest: Parts of a cut segment that are shorter than this are dropped (seconds).
        ica: Remove independent components of eyes and muscles; null for none.
        ica_fit: Regular expression over recording ids: the components of a subject are fitted on the recordings of the
            subject that match (exclude the recordings of the test); null fits each recording separately.
    """

    rate: float = 100.0
    upsample: bool = False
    band: tuple[float | None, float | None] = (0.5, 40.0)
    notch: float | None = 50.0
    reference: Literal["average", "none"] = "average"
    bad: list[str] = field(default_factory=list)
    flat: float | None = 0.1
    deviation: float | None = 5.0
    interpolate: bool = True
    causal: bool = False
    reject: float | Literal["auto"] | None = None
    reject_share: float = 0.3
    shortest: float = 1.0
    ica: Ica | None = None
    ica_fit: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make settings from plain values, as a store or a checkpoint records them.

        Raises:
            TypeError: A setting is unknown or of another type.
            KeyError: The band is missing.
        """
        ica = values.get("ica")
        return cls(**{**values, "band": tuple(values["band"]), "ica": Ica(**ica) if ica else None})

    def check(self) -> None:
        """Check the range of every setting, and that settings agree.

        Raises:
            ConfigError: A value is out of range or contradicts another.
        """
        low, high = self.band
        _require(self.rate > 0, f"rate={self.rate:g} must be above 0 Hz")
        for name in ("notch", "flat", "deviation", "reject"):
            value = getattr(self, name)
            _require(value in (None, "auto") or value > 0, f"{name}={value} must be above 0; null turns it off")
        _require(0 <= self.reject_share < 1, f"reject_share={self.reject_share:g} must lie between 0 and below 1")
        _require(self.shortest > 0, f"shortest={self.shortest:g} must be above 0 seconds")
        if self.ica is not None:
            self.ica.check()
        if self.ica_fit is not None:
            _require(self.ica is not None, f"ica_fit={self.ica_fit!r} needs preprocessing.ica")
            try:
                re.compile(self.ica_fit)
            except re.error as error:
                raise ConfigError(f"preprocessing.ica_fit={self.ica_fit!r}: no regular expression ({error})") from error
        ascends = low is None or (low > 0 and (high is None or low < high))
        _require(ascends, f"band={list(self.band)} must ascend from above 0 Hz; null leaves one open")
        within = high is None or 0 < high < self.rate / 2
        _require(within, f"band={list(self.band)} must end below half of rate={self.rate:g}")


def _require(valid: bool, text: str) -> None:
    if not valid:
        raise ConfigError(f"preprocessing.{text}")


def preprocess(
    raw: RawRecording,
    settings: Preprocessing,
    source_name: str,
    scratch: Path | None = None,
    fit_on: Sequence[RawRecording] = (),
) -> Prepared:
    """Preprocess one recording. Memory does not depend on its rate, and little on its length.

    Args:
        raw: Recording as read by a reader.
        settings: Settings of the preprocessing.
        source_name: The recording, for error messages.
        scratch: File for the signal of a long recording; None to hold it in memory.
        fit_on: Recordings of the same subject that independent components are fitted on; the recording itself if empty.

    Raises:
        ConfigError: The settings contradict each other or the recording.
        DataError: The recording is inconsistent, or too little of it is usable.
    """
    settings.check()
    rows = _decodable_rows(raw, settings, source_name)
    channels = [raw.channels[row] for row in rows]
    # the anti-alias filter of the decimation is not causal
    factor = 1 if settings.causal else whole_factor(raw.rate, max(settings.rate / 2, settings.notch or 0.0))
    try:
        decimation = Blocks.of(raw.eeg.shape[1], raw.breaks, raw.rate, raw.rate / factor)
        segments, lost = Clock.of(raw).recorded(raw.segments, settings.shortest)
        segments = [decimation.to_resampled(segment) for segment in segments]
    except DataError as error:
        raise DataError(f"{source_name}: {error}") from error

    gain = np.array([GAIN[channel.type] for channel in channels])
    with chunked_decimate(raw.eeg, np.array(rows, np.intp), gain, decimation, factor, scratch, raw.gaps) as read:
        dropouts = [both for gone in read.dropouts for both in decimation.within(gone)]
        cut = [decimated for gone, decimated in dropouts if is_long(gone, raw.rate)]
        short = [(gone, decimated) for gone, decimated in dropouts if not is_long(gone, raw.rate)]
        gaps = [decimated for gap in raw.gaps for _, decimated in decimation.within(gap)] + cut
        breaks = {*decimation.new_starts, *(edge for gap in gaps for edge in gap)} - {0, decimation.new_starts[-1]}
        blocks = Blocks.of(decimation.new_starts[-1], sorted(breaks), decimation.new_rate, settings.rate)
        if blocks.new_starts[-1] == 0:
            raise DataError(f"{source_name}: {raw.eeg.shape[1]} samples at {raw.rate:g} Hz, too short; leave it out")
        unfilled = [decimated for _, decimated in short if factor == 1]  # else filled before decimation
        eeg, flat = filter_recording(read.signal, blocks, gaps, unfilled, settings)
    missing = read.missing / raw.eeg.shape[1]
    if missing.any():
        logger.info("%s: %d missing samples interpolated", source_name, round(read.missing.sum()))
    lost[FILLED_IN] = sum(stop - first for (first, stop), _ in short) / raw.rate
    segments, lost[DROPOUT] = _without(segments, sorted(cut), blocks.rate, settings)
    segments = [blocks.to_resampled(segment) for segment in segments]

    held = [new for _, new in blocks.outside(gaps)]
    channels = judge_channels(eeg, channels, held, missing, flat, settings, source_name)
    if settings.ica is not None:
        _clean(eeg, channels, fit_on or [raw], settings, source_name)
    _replace_and_reference(eeg, channels, settings, source_name)
    warn_of_amplitude(eeg, channels, held, settings.band[0], source_name)
    if settings.reject is not None:
        stretches = bad_stretches(eeg, held, settings.rate, settings.reject, settings.reject_share)
        segments, lost[AMPLITUDE] = _without(segments, stretches, settings.rate, settings)
    lost = {reason: seconds for reason, seconds in lost.items() if seconds > 1e-6}
    return Prepared(eeg, channels, segments, held, lost)


def _without(
    segments: list[Segment], stretches: Sequence[Stretch], rate: float, settings: Preprocessing
) -> tuple[list[Segment], float]:
    """Segments without some stretches, and the seconds that this removes."""
    left = without(segments, stretches, rate, settings.shortest)
    return left, sum(s.duration for s in segments) - sum(s.duration for s in left)


def _clean(
    eeg: NDArray[np.float32],
    channels: list[Channel],
    fit_on: Sequence[RawRecording],
    settings: Preprocessing,
    source_name: str,
) -> None:
    """Remove independent components of artefacts from the good electrodes on the scalp, in place."""
    assert settings.ica is not None
    rows = [row for row, c in enumerate(channels) if c.type == "eeg" and c.status == "good"]
    bad = [c.name for c in channels if c.status == "bad"]
    fitted = fit_ica(fit_on, settings.ica, source_name, bad, settings.notch)
    try:
        eeg[rows] = apply_ica(eeg[rows], [channels[row].name for row in rows], fitted)
    except DataError as error:
        raise DataError(f"{source_name}: {error}") from error


def _replace_and_reference(
    eeg: NDArray[np.float32], channels: list[Channel], settings: Preprocessing, source_name: str
) -> None:
    """Interpolate bad electrodes on the scalp, set other bad channels to zero, and subtract the mean; in place."""
    positions = places_of(channels)
    bad = np.array([channel.status == "bad" for channel in channels])
    for rows in rows_by_kind(channels):
        kind = channels[rows[0]].type
        part = eeg[rows]
        live = replace_bad(part, positions[rows], bad[rows], settings.interpolate and kind == "eeg")
        if settings.reference == "average" and kind in ELECTRIC:
            if live.sum() == 1:
                name = channels[rows[int(live.argmax())]].name
                if len(rows) == len(channels):
                    raise DataError(
                        f"{source_name}: {name} is its only good channel, of which an average reference "
                        "leaves nothing; record more, or set preprocessing.reference=none"
                    )
                logger.warning(
                    "%s: %s is its only good channel of type %s, of which an average reference leaves nothing",
                    source_name, name, kind,
                )  # fmt: skip
            part[live] -= part[live].mean(axis=0)
        eeg[rows] = part


def _decodable_rows(raw: RawRecording, settings: Preprocessing, source_name: str) -> list[int]:
    """Rows of channels with brain activity, after checking the recording and the settings against each other."""
    if len(raw.eeg.shape) != 2 or len(raw.channels) != raw.eeg.shape[0]:
        raise DataError(
            f"{source_name}: signal of shape {raw.eeg.shape}, {len(raw.channels)} channels; check the reader"
        )
    rows = [row for row, channel in enumerate(raw.channels) if channel.type in DECODABLE]
    if not rows:
        raise DataError(f"{source_name}: none of its {len(raw.channels)} channels is EEG; correct the channel types")
    names = Counter(raw.channels[row].name for row in rows)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise DataError(f"{source_name}: channel {twice[0]} occurs {names[twice[0]]} times; rename or drop one")
    unknown = [name for name, found in find_channels(settings.bad, raw.channels).items() if not {*found} & {*names}]
    if unknown:
        raise ConfigError(f"preprocessing.bad={unknown[0]!r} is no channel of {source_name}; it has {', '.join(names)}")
    check_positions(raw.channels, source_name)
    if not raw.rate > 0:
        raise DataError(f"{source_name}: its rate is {raw.rate:g} Hz; correct it in the recording")
    if raw.rate < settings.rate and not settings.upsample:
        raise DataError(
            f"{source_name}: recorded at {raw.rate:g} Hz, lower preprocessing.rate={settings.rate:g} to that, or "
            "interpolate it up with preprocessing.upsample=true"
        )
    high = settings.band[1]
    if high is not None and high >= raw.rate / 2 and not settings.upsample:
        raise DataError(
            f"{source_name}: recorded at {raw.rate:g} Hz, so preprocessing.band={list(settings.band)} "
            f"must end below {raw.rate / 2:g}"
        )
    return rows
