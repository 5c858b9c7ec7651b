"""BioSemi recordings that datasets publish as bare arrays: which way round, in which unit, from which electrodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import mne
import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import electrode_positions
from eeg2speech.data.electrodes.names import are_inputs, electrode_key

Cap = Literal["biosemi64", "biosemi128"]
Unit = Literal["uV", "V"]
SCALE: dict[Unit, float] = {"uV": 1e-6, "V": 1.0}
PLAUSIBLE = (1e-2, 1e5)
"""Microvolts by which EEG can vary, drifts of an unfiltered amplifier included: wide, as it only has to tell volts
from microvolts."""
LOOKED_AT = 10_000
"""Samples that tell the unit."""


def cap_channels(cap: Cap) -> list[Channel]:
    """Electrodes of a cap in the order of the amplifier's inputs."""
    names, places = _layout(cap)
    return [Channel(name, "eeg", x, y, z) for name, (x, y, z) in zip(names, places, strict=True)]


def find_cap(names: Sequence[str], cap: Cap, source: Path) -> tuple[list[int], list[Channel]]:
    """Which channels are the electrodes of a cap: by name, or by the amplifier's inputs A1 to A32, B1 to B32.

    Args:
        names: Of all channels of a recording.
        cap: The cap.
        source: File that the names come from, for the error message.

    Returns:
        Numbers of the channels, and the electrodes, both in the order of the amplifier's inputs.

    Raises:
        DataError: An electrode is missing.
    """
    electrodes = cap_channels(cap)
    where = {electrode_key(name): number for number, name in reversed(list(enumerate(names)))}
    inputs = [f"{bank}{number}" for bank in "abcd" for number in range(1, 33)][: len(electrodes)]
    wanted = [electrode_key(electrode.name) for electrode in electrodes]
    if are_inputs(names) and all(name in where for name in inputs):
        wanted = inputs
    missing = [e.name for e, name in zip(electrodes, wanted, strict=True) if name not in where]
    if missing:
        raise DataError(
            f"{source}: no electrode {missing[0]} among its {len(names)} channels ({', '.join(names[:4])}, ...), "
            f"{len(missing)} of the {len(electrodes)} of {cap} are missing; download it again"
        )
    return [where[name] for name in wanted], electrodes


def channels_first(array: Any, channels: int, source: Path, variable: str) -> NDArray[np.floating]:
    """Turn a two-dimensional array so that its rows are channels.

    Args:
        array: (channels, samples) or (samples, channels).
        channels: How many there are.
        source: File it was read from, for the error message.
        variable: Its name in the file.

    Raises:
        DataError: Neither axis, or both, has as many entries as there are channels, or they are no numbers.
    """
    signal = np.asarray(array)
    if signal.ndim != 2 or signal.shape.count(channels) != 1 or signal.dtype.kind not in "fiu" or not signal.size:
        raise DataError(
            f"{source}: {variable} is {signal.dtype} of shape {signal.shape}, not {channels} channels by samples; "
            "download it again"
        )
    return signal if signal.shape[0] == channels else signal.T


def in_volts(signal: NDArray[np.floating], unit: Unit, source: Path) -> NDArray[np.float32]:
    """Volts, after a check that the unit can be right.

    Args:
        signal: (channels, samples).
        unit: Of the signal.
        source: File it was read from, for the error message.

    Raises:
        DataError: No EEG varies by that little or that much.
    """
    some = np.asarray(signal[:, :: max(1, signal.shape[1] // LOOKED_AT)], np.float64)
    spreads = [float(row[np.isfinite(row)].std()) for row in some if np.isfinite(row).any()]
    spread = float(np.median(spreads)) * SCALE[unit] * 1e6 if spreads else 0.0
    if not PLAUSIBLE[0] < spread < PLAUSIBLE[1]:
        raise DataError(
            f"{source}: taken in {unit} its channels vary by {spread:.3g} microvolts, which is no EEG; "
            "it is damaged, or in another unit (reader option unit: uV or V)"
        )
    volts: NDArray[np.float32] = np.multiply(signal, SCALE[unit], dtype=np.float32)
    return volts


@cache
def _layout(cap: Cap) -> tuple[list[str], list[list[float]]]:
    names = list(mne.channels.make_standard_montage(cap).ch_names)
    return names, electrode_positions(names, cap).tolist()
