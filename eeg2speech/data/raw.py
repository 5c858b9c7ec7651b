"""Recordings that a program has in memory: from mne, or as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import mne
import numpy as np
from mne.io import BaseRaw
from mne.io.constants import FIFF
from numpy.typing import ArrayLike, NDArray

from eeg2speech.errors import DataError
from eeg2speech.types import Channel, RawRecording

__all__ = ["BaseRaw", "from_array", "from_mne"]

UNKNOWN = (float("nan"),) * 3


def from_mne(raw: BaseRaw) -> RawRecording:
    """Take the EEG channels out of an ``mne.io.Raw``.

    Channels in ``raw.info["bads"]`` are marked bad, positions are those of its montage, and where recordings were
    concatenated (annotations ``EDGE boundary``) a new piece starts.

    Raises:
        DataError: It has no EEG channel.
    """
    picks = mne.pick_types(raw.info, eeg=True, exclude=[])
    if not len(picks):
        raise DataError(
            f"none of the {len(raw.ch_names)} channels of the recording is EEG; set their types (raw.set_channel_types)"
        )
    channels = []
    for pick in picks:
        info = raw.info["chs"][pick]
        place = np.asarray(info["loc"][:3], float)
        in_head = info["coord_frame"] == FIFF.FIFFV_COORD_HEAD and np.isfinite(place).all() and place.any()
        x, y, z = place.tolist() if in_head else UNKNOWN
        name = raw.ch_names[pick]
        channels.append(Channel(name, "eeg", x, y, z, "bad" if name in raw.info["bads"] else "good"))
    rate = float(raw.info["sfreq"])
    edges = [a["onset"] - raw.first_time for a in raw.annotations if a["description"].startswith("EDGE boundary")]
    breaks = sorted({sample for edge in edges if 0 < (sample := round(edge * rate)) < raw.n_times})
    return RawRecording(raw.get_data(picks), rate, channels, [], breaks)


def from_array(
    eeg: NDArray[np.floating], rate: float, names: Sequence[str], positions: ArrayLike | None = None
) -> RawRecording:
    """Describe an array of EEG.

    Args:
        eeg: Volts, (channels, samples).
        rate: Samples per second.
        names: Of the electrodes, (channels,).
        positions: Metres in head coordinates (x right, y front, z up), NaN where unknown, (channels, 3); None if all
            are to be found by name.

    Raises:
        DataError: Names or positions do not go with the array.
    """
    eeg = np.asarray(eeg)
    places = np.full((len(names), 3), np.nan) if positions is None else np.asarray(positions, float)
    if eeg.ndim != 2 or len(names) != len(eeg) or places.shape != (len(eeg), 3):
        raise DataError(
            f"EEG of shape {eeg.shape} with {len(names)} names and positions of shape {places.shape}; "
            "give (channels, samples), (channels,) and (channels, 3)"
        )
    channels = [Channel(name, "eeg", *place) for name, place in zip(names, places.tolist(), strict=True)]
    return RawRecording(eeg, float(rate), channels, [])
