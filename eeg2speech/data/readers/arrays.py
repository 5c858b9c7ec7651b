"""EEG and envelopes that datasets publish as bare arrays: orientation, unit and electrodes of BioSemi caps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import mne
import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, Envelope, RawRecording, Segment
from eeg2speech.data.electrodes.montage import electrode_positions
from eeg2speech.data.electrodes.names import are_inputs, electrode_key
from eeg2speech.data.files.sounds import sound_at, sound_seconds

Cap = Literal["biosemi64", "biosemi128"]
Unit = Literal["uV", "V"]
SCALE: dict[Unit, float] = {"uV": 1e-6, "V": 1.0}
PLAUSIBLE = (1e-2, 1e5)
"""Standard deviations that EEG can have, in microvolts. The range is wide: it only separates volts from microvolts, and
an unfiltered amplifier drifts."""
INSPECTED = 10_000
"""Samples that the unit is checked on."""


def cap_channels(cap: Cap) -> list[Channel]:
    """Electrodes of a cap in the order of the amplifier's inputs."""
    names, positions = _layout(cap)
    return [Channel(name, "eeg", x, y, z) for name, (x, y, z) in zip(names, positions, strict=True)]


@cache
def _layout(cap: Cap) -> tuple[list[str], list[list[float]]]:
    names = list(mne.channels.make_standard_montage(cap).ch_names)
    return names, electrode_positions(names, cap).tolist()


def find_cap(names: Sequence[str], cap: Cap, source: Path) -> tuple[list[int], list[Channel]]:
    """Find the electrodes of a cap among channels, by name or by input of the amplifier (A1 to A32, B1 to B32, ...).

    Returns:
        Indices of the channels, and the electrodes, both in the order of the amplifier's inputs.

    Raises:
        DataError: An electrode is missing.
    """
    electrodes = cap_channels(cap)
    indices = {electrode_key(name): index for index, name in reversed(list(enumerate(names)))}
    inputs = [f"{bank}{number}" for bank in "abcd" for number in range(1, 33)][: len(electrodes)]
    wanted = [electrode_key(electrode.name) for electrode in electrodes]
    if are_inputs(names) and all(name in indices for name in inputs):
        wanted = inputs
    missing = [e.name for e, name in zip(electrodes, wanted, strict=True) if name not in indices]
    if missing:
        raise DataError(
            f"{source}: no electrode {missing[0]} among its {len(names)} channels ({', '.join(names[:4])}, ...), "
            f"{len(missing)} of the {len(electrodes)} of {cap} are missing; download it again"
        )
    return [indices[name] for name in wanted], electrodes


def channels_first(array: Any, channels: int, source: Path, variable: str) -> NDArray[np.floating]:
    """Return an array of (channels, samples) or (samples, channels) as (channels, samples).

    Raises:
        DataError: Not exactly one axis has as many entries as there are channels, or the entries are no numbers.
    """
    signal = np.asarray(array)
    if signal.ndim != 2 or signal.shape.count(channels) != 1 or signal.dtype.kind not in "fiu" or not signal.size:
        raise DataError(
            f"{source}: {variable} is {signal.dtype} of shape {signal.shape}, not {channels} channels by samples; "
            "download it again"
        )
    return signal if signal.shape[0] == channels else signal.T


def in_volts(signal: NDArray[np.floating], unit: Unit, source: Path) -> NDArray[np.float32]:
    """Convert a signal, (channels, samples), to volts.

    Raises:
        DataError: The amplitude is that of no EEG, so that the unit is wrong or the file damaged.
    """
    some = np.asarray(signal[:, :: max(1, signal.shape[1] // INSPECTED)], np.float64)
    spreads = [float(row[np.isfinite(row)].std()) for row in some if np.isfinite(row).any()]
    spread = float(np.median(spreads)) * SCALE[unit] * 1e6 if spreads else 0.0
    if not PLAUSIBLE[0] < spread < PLAUSIBLE[1]:
        raise DataError(
            f"{source}: taken in {unit} its channels vary by {spread:.3g} microvolts, which is no EEG; "
            "it is damaged, or in another unit (reader option unit: uV or V)"
        )
    volts: NDArray[np.float32] = np.multiply(signal, SCALE[unit], dtype=np.float32)
    return volts


def with_sound(raw: RawRecording, recording: str, stimulus: str, sound: Path, label: str = "") -> RawRecording:
    """Add the sound that starts with a recording: one segment, which ends with the shorter of the two."""
    raw.stimuli = {stimulus: sound_at(sound)}
    return _with_segment(raw, recording, stimulus, sound_seconds(sound), label)


def with_envelope(raw: RawRecording, recording: str, stimulus: str, read: Envelope, label: str = "") -> RawRecording:
    """Add the envelope of the sound that starts with a recording: one segment, which ends with the shorter one."""
    samples, rate = read()
    raw.envelopes = {stimulus: read}
    return _with_segment(raw, recording, stimulus, len(samples) / rate, label)


def _with_segment(raw: RawRecording, recording: str, stimulus: str, seconds: float, label: str) -> RawRecording:
    seconds = min(seconds, raw.eeg.shape[1] / raw.rate)
    raw.segments = [Segment(recording, 0.0, seconds, stimulus, 0.0, "listening", label)]
    return raw


def array_recording(array: Any, rate: float, cap: Cap, unit: Unit, source: Path, variable: str) -> RawRecording:
    """Recording of a cap from an array; see ``channels_first`` and ``in_volts``."""
    channels = cap_channels(cap)
    eeg = in_volts(channels_first(array, len(channels), source, variable), unit, source)
    return RawRecording(eeg, rate, channels, [])


def envelope_samples(array: Any, source: Path, variable: str = "envelope") -> NDArray[np.float64]:
    """Return a published envelope, (samples,), (samples, 1) or (1, samples), as (samples,).

    Raises:
        DataError: The array is empty, has several rows, or holds values that are not finite numbers.
    """
    values = np.asarray(array)
    row = values.size > 0 and values.size == max(values.shape, default=0)
    if values.dtype.kind not in "fiu" or not row or not np.isfinite(values).all():
        raise DataError(
            f"{source}: {variable} is {values.dtype} of shape {values.shape}, not a row of finite samples; "
            "download it again"
        )
    return values.ravel().astype(np.float64)
