"""Recordings from objects of mne, or from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mne import BaseEpochs
from mne.io import BaseRaw
from mne.io.constants import FIFF
from numpy.typing import ArrayLike, NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, RawRecording
from eeg2speech.data.files.discontinuities import discontinuities
from eeg2speech.data.files.reading import wrap_read_errors

__all__ = ["BaseEpochs", "BaseRaw", "from_array", "from_epochs", "from_mne"]

UNKNOWN = (float("nan"),) * 3


def from_mne(
    raw: BaseRaw,
    kinds: Sequence[str] = ("eeg",),
    lazily: bool = False,
    beside: Sequence[str] = (),
    factors: Mapping[str, float] | None = None,
) -> RawRecording:
    """Convert the EEG channels of an ``mne.io.Raw``.

    Channels in ``raw.info["bads"]`` are marked bad, positions are those of its montage, and a new piece starts at every
    interruption (``discontinuities``).

    Args:
        raw: Recording.
        kinds: Channel types, of ``types.DECODABLE``.
        lazily: Leave the signal in the file and read it when it is needed.
        beside: Further types that are not decoded from, such as ``eog``; they may be absent.
        factors: Factors by channel that convert values that are read lazily to volts.

    Raises:
        DataError: There is no channel of ``kinds``, or the times of the file's records contradict each other.
    """
    picks = _picks(raw, kinds, beside)
    channels = [_channel(raw, pick) for pick in picks]
    rate = float(raw.info["sfreq"])
    found = discontinuities(raw)
    eeg = InFile(raw, picks, factors or {}) if lazily else raw.get_data(picks)
    return RawRecording(
        eeg, rate, channels, [], found.breaks,
        unrecorded=found.unrecorded, gaps=found.gaps, clocked=found.clocked,
    )  # fmt: skip


def from_file(raw: BaseRaw, file: Path, kinds: Sequence[str] = ("eeg",)) -> RawRecording:
    """Like ``from_mne`` with the signal left in the file, after reading its last sample: a file may be cut short.

    Raises:
        DataError: The file has no such channel, or is cut short.
    """
    with wrap_read_errors(file):
        found = from_mne(raw, kinds, lazily=True)
        raw.get_data(start=max(raw.n_times - 1, 0))
    return found


def from_epochs(epochs: BaseEpochs, kinds: Sequence[str] = ("eeg",)) -> RawRecording:
    """Convert the EEG channels of ``mne.Epochs``: the epochs one after the other, with a break between them.

    Args:
        epochs: Epochs of one subject; those that their own limits reject are dropped.
        kinds: Channel types, of ``types.DECODABLE``.

    Raises:
        DataError: There is no such channel, or no epoch is left.
    """
    picks = _picks(epochs, kinds)
    epochs.drop_bad(verbose="ERROR")  # as get_data does, which warns where none is left
    if not len(epochs):
        raise DataError("all epochs were dropped; loosen their limits (epochs.drop_log contains the reasons)")
    eeg = epochs.get_data(picks)
    count, _, samples = eeg.shape
    channels = [_channel(epochs, pick) for pick in picks]
    breaks = [samples * index for index in range(1, count)]
    return RawRecording(np.concatenate(list(eeg), axis=1), float(epochs.info["sfreq"]), channels, [], breaks)


def _picks(recording: BaseRaw | BaseEpochs, kinds: Sequence[str], beside: Sequence[str] = ()) -> list[int]:
    """Indices of the channels of some types."""
    types = recording.get_channel_types()
    picks = [pick for pick, kind in enumerate(types) if kind in (*kinds, *beside)]
    if not any(types[pick] in kinds for pick in picks):
        raise DataError(
            f"none of the {len(types)} channels of the recording is {' or '.join(kinds).upper()} (they are "
            f"{', '.join(sorted(set(types)))}); set their types (raw.set_channel_types, or type in channels.tsv)"
        )
    return picks


def _channel(recording: BaseRaw | BaseEpochs, pick: int) -> Channel:
    """A channel of mne; a position in other than head coordinates is treated as unknown."""
    info, kind, name = recording.info["chs"][pick], recording.get_channel_types([pick])[0], recording.ch_names[pick]
    place = np.asarray(info["loc"][:3], float)
    in_head = info["coord_frame"] == FIFF.FIFFV_COORD_HEAD or kind != "eeg"
    x, y, z = place.tolist() if in_head and np.isfinite(place).all() and place.any() else UNKNOWN
    return Channel(name, kind, x, y, z, "bad" if name in recording.info["bads"] else "good")


class InFile:
    """Channels of an ``mne.io.Raw`` that is read in pieces, so that hours of it need little memory.

    Args:
        raw: Recording, not loaded.
        picks: Indices of the channels.
        factors: Factors on the values by name of the channel, 1 where there is none.
    """

    def __init__(self, raw: BaseRaw, picks: Sequence[int], factors: Mapping[str, float]) -> None:
        self.raw, self.picks = raw, np.asarray(picks, np.intp)
        self.factors = np.array([factors.get(raw.ch_names[pick], 1.0) for pick in picks])
        self.shape = (len(self.picks), int(raw.n_times))

    def __getitem__(self, part: tuple[slice | NDArray[np.intp], slice], /) -> NDArray[np.float64]:
        """Volts (teslas for MEG), (channels, samples)."""
        first, last, _ = part[1].indices(self.shape[1])
        with wrap_read_errors(Path(self.raw.filenames[0] or "recording")):
            data: NDArray[np.float64] = self.raw.get_data(self.picks[part[0]], start=first, stop=max(first, last))
        factors = self.factors[part[0], None]
        return data if (factors == 1).all() else data * factors


def from_array(
    eeg: NDArray[np.floating], rate: float, names: Sequence[str], positions: ArrayLike | None = None
) -> RawRecording:
    """Convert an array of EEG.

    Args:
        eeg: Volts, (channels, samples).
        rate: Samples per second.
        names: Names of the electrodes, (channels,).
        positions: Metres in head coordinates (x right, y front, z up), NaN where unknown, (channels, 3); None if all
            are unknown.

    Raises:
        DataError: The numbers of names or positions differ from that of the channels.
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
