"""Recordings that a program has in memory: from mne, or as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mne.io import BaseRaw
from mne.io.constants import FIFF
from numpy.typing import ArrayLike, NDArray

from eeg2speech.data.reading import reading
from eeg2speech.errors import DataError
from eeg2speech.types import Channel, RawRecording

__all__ = ["BaseRaw", "from_array", "from_mne"]

UNKNOWN = (float("nan"),) * 3
EDGES = ("EDGE boundary", "BAD_ACQ_SKIP")


def from_mne(
    raw: BaseRaw, kinds: Sequence[str] = ("eeg",), lazily: bool = False, beside: Sequence[str] = ()
) -> RawRecording:
    """Take the EEG channels out of an ``mne.io.Raw``.

    Channels in ``raw.info["bads"]`` are marked bad, positions are those of its montage, and where recordings were
    concatenated or switched off (annotations ``EDGE boundary``, ``BAD_ACQ_SKIP``) a new piece starts.

    Args:
        raw: Recording.
        kinds: Channel types to take, of ``types.DECODABLE``.
        lazily: Leave the signal in the file; it is read as it is asked for.
        beside: Further types to take where there are any, which are not decoded from, such as ``eog``.

    Raises:
        DataError: It has no such channel.
    """
    types = raw.get_channel_types()
    picks = [pick for pick, kind in enumerate(types) if kind in (*kinds, *beside)]
    if not any(types[pick] in kinds for pick in picks):
        raise DataError(
            f"none of the {len(raw.ch_names)} channels of the recording is {' or '.join(kinds).upper()} (they are "
            f"{', '.join(sorted(set(types)))}); set their types (raw.set_channel_types, or type in channels.tsv)"
        )
    channels = []
    for pick in picks:
        info = raw.info["chs"][pick]
        place = np.asarray(info["loc"][:3], float)
        in_head = info["coord_frame"] == FIFF.FIFFV_COORD_HEAD or types[pick] != "eeg"
        x, y, z = place.tolist() if in_head and np.isfinite(place).all() and place.any() else UNKNOWN
        name = raw.ch_names[pick]
        channels.append(Channel(name, types[pick], x, y, z, "bad" if name in raw.info["bads"] else "good"))
    rate = float(raw.info["sfreq"])
    edges = [a["onset"] - raw.first_time for a in raw.annotations if a["description"].startswith(EDGES)]
    breaks = sorted({sample for edge in edges if 0 < (sample := round(edge * rate)) < raw.n_times})
    return RawRecording(InFile(raw, picks) if lazily else raw.get_data(picks), rate, channels, [], breaks)


class InFile:
    """Channels of an ``mne.io.Raw`` that is read piece by piece, so that hours of it need little memory.

    Args:
        raw: Recording, not loaded.
        picks: Channels, by number.
    """

    def __init__(self, raw: BaseRaw, picks: Sequence[int]) -> None:
        self.raw, self.picks = raw, np.asarray(picks, np.intp)
        self.shape = (len(self.picks), int(raw.n_times))

    def __getitem__(self, part: tuple[slice | NDArray[np.intp], slice], /) -> NDArray[np.float64]:
        """Volts (teslas of a MEG), (channels, samples)."""
        first, last, _ = part[1].indices(self.shape[1])
        with reading(Path(self.raw.filenames[0] or "recording")):
            data: NDArray[np.float64] = self.raw.get_data(self.picks[part[0]], start=first, stop=max(first, last))
        return data


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
