"""What a model was trained on, and new recordings made to look like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.data.ica import Ica
from eeg2speech.data.memory import MemoryStore
from eeg2speech.data.montage import OLD_NAMES, electrode_positions, order_by_position
from eeg2speech.data.preprocess import Preprocessing, preprocess
from eeg2speech.data.scaling import Scaling, fit_scalings
from eeg2speech.data.store import Store
from eeg2speech.data.windows import Window, WindowDataset, cut_windows
from eeg2speech.errors import ConfigError, DataError
from eeg2speech.types import Channel, RawRecording, Segment

_NAMED = 5  # electrodes in an error message


@dataclass(frozen=True)
class TrainedMontage:
    """Electrodes of training recordings in the order of their files.

    Attributes:
        names: As in the files.
        positions: Metres in head coordinates, NaN where unknown, (channels, 3).
    """

    names: tuple[str, ...]
    positions: NDArray[np.float64]


@dataclass(frozen=True)
class TrainedOn:
    """What a model has to know of its training data to meet a new recording as it met those.

    Attributes:
        name: Dataset.
        simulated: Whether its EEG was simulated.
        window: Seconds.
        lag: How much later than its sound the EEG of a window is read, in seconds.
        clamp: Scaled EEG is limited to +- this many robust standard deviations.
        preprocessing: From raw to prepared recordings.
        subjects: Labels, in the order of the model.
        montages: Every list of electrodes.
    """

    name: str
    simulated: bool
    window: float
    lag: float
    clamp: float
    preprocessing: Preprocessing
    subjects: tuple[str, ...]
    montages: tuple[TrainedMontage, ...]

    @classmethod
    def of(cls, remembered: Mapping[str, Any], source: str) -> TrainedOn:
        """Read what a checkpoint or an export remembers.

        Raises:
            DataError: Something of it is missing.
        """
        try:
            settings = dict(remembered["preprocessing"])
            settings["band"] = tuple(settings["band"])
            settings["ica"] = Ica(**settings["ica"]) if settings.get("ica") else None
            montages = tuple(
                TrainedMontage(tuple(m["names"]), np.array([p or (np.nan,) * 3 for p in m["positions"]], float))
                for m in remembered["montages"]
            )
            return cls(
                str(remembered["name"]), bool(remembered["simulated"]), float(remembered["window"]),
                float(remembered["lag"]), float(remembered["clamp"]), Preprocessing(**settings),
                tuple(remembered["subjects"]), montages,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source}: does not say how its EEG was prepared ({error}); use a checkpoint or export of a run of "
                "this eeg2speech on a store that `eeg2speech prepare` made"
            ) from error

    @property
    def samples(self) -> int:
        """EEG samples of a window."""
        return round(self.window * self.preprocessing.rate)

    def step(self, hop: float | None) -> int:
        """EEG samples from one window's start to the next, for a hop in seconds; None for windows end to end.

        Raises:
            ConfigError: It is no step forward.
        """
        step = self.samples if hop is None else round(hop * self.preprocessing.rate)
        if step < 1:
            raise ConfigError(f"hop={hop} s is less than the {1 / self.preprocessing.rate:g} s of a sample of EEG")
        return step

    def windows(self, raw: RawRecording, fixed: bool, hop: float | None = None) -> WindowDataset:
        """Prepare a recording as the training recordings were and cut it into windows that never cross a break.

        Its scale is fitted on the whole of it, since nothing of it was trained on. ``sound_start`` of a window is its
        time in the recording, in seconds; the EEG itself is read ``lag`` later.

        Args:
            raw: EEG in volts.
            fixed: See ``prepare``.
            hop: From one window's start to the next, in seconds; None for windows end to end.

        Raises:
            DataError: Electrodes are missing, or the recording is too short or too slow.
            ConfigError: The hop is no step forward.
        """
        step = self.step(hop)
        store = self.prepare(raw, fixed)
        windows = cut_windows(store.segments, store.recordings, store.rate, self.samples, step)
        return self.dataset(store, windows, fit_scalings(store, {store.recordings[0].recording: store.segments}))

    def dataset(self, store: Store, windows: Sequence[Window], scalings: dict[str, Scaling]) -> WindowDataset:
        """Windows of a store as the model met them in training, without their sound.

        Raises:
            DataError: There is no window.
        """
        if not windows:
            seconds = sum(recording.samples for recording in store.recordings) / store.rate
            raise DataError(
                f"EEG of {seconds:g} s without a stretch as long as the {self.window:g} s of a window; "
                "give a longer one"
            )
        lag = round(self.lag * self.preprocessing.rate)
        return WindowDataset(store, windows, scalings, self.samples, self.clamp, False, lag=lag)

    def prepare(self, raw: RawRecording, fixed: bool) -> MemoryStore:
        """Filter, resample and reference a recording as the training recordings were.

        Args:
            raw: EEG in volts.
            fixed: The model knows its electrodes by their place in the list, so that those it was trained with have
                to be there and all others are left out; else any montage will do.

        Returns:
            The recording as the only one of a store, with its pieces between breaks as segments.

        Raises:
            DataError: Electrodes are missing, or the recording is too slow.
        """
        rate = self.preprocessing.rate
        if raw.rate < rate and not self.preprocessing.upsample:
            raise DataError(f"EEG at {raw.rate:g} Hz; this model needs {rate:g} Hz or more")
        raw = self.choose_channels(raw, fixed)
        name, length = "recording", raw.eeg.shape[1]
        pieces = [
            Segment(name, first / raw.rate, (last - first) / raw.rate, "", first / raw.rate, "listening")
            for first, last in pairwise([0, *raw.breaks, length])
        ]
        names = {channel.name for channel in raw.channels}
        bad = {*self.preprocessing.bad, *(c.name for c in raw.channels if c.status == "bad")} & names
        settings = replace(self.preprocessing, bad=sorted(bad))
        # nothing goes on in a pause: times are those of the recording's samples
        made = preprocess(replace(raw, segments=pieces, unrecorded={}), settings, name)
        return MemoryStore(name, made.eeg, rate, made.channels, made.segments, made.pieces)

    def choose_channels(self, raw: RawRecording, fixed: bool) -> RawRecording:
        """Keep the EEG channels that the model can use, with positions, and those of the eyes if training needed them.

        A channel lies where the recording says, else where it lay in training, else where its name lies on a standard
        head. With ``fixed``, electrodes stay where they lay in training if the recording's own positions would bring
        them into another order.

        Raises:
            DataError: An electrode is missing, or lies nobody knows where.
        """
        rows = [row for row, channel in enumerate(raw.channels) if channel.type == "eeg"]
        ica = self.preprocessing.ica
        beside = [row for row, c in enumerate(raw.channels) if c.type == "eog"] if ica and ica.method == "eog" else []
        if not fixed:
            return _with(raw, rows, self._positions([raw.channels[row] for row in rows]), beside)
        row_of = {_key(raw.channels[row].name): row for row in rows}
        lacking = {}
        for montage in sorted(self.montages, key=lambda known: -len(known.names)):
            missing = [name for name in montage.names if _key(name) not in row_of]
            if missing:
                lacking[montage.names] = missing
                continue
            rows = [row_of[_key(name)] for name in montage.names]
            own = _places([raw.channels[row] for row in rows])
            own = np.where(np.isfinite(own).all(1, keepdims=True), own, montage.positions)
            same = np.array_equal(order_by_position(own), order_by_position(montage.positions))
            return _with(raw, rows, own if same else montage.positions, beside)
        names, missing = min(lacking.items(), key=lambda item: len(item[1]))
        listed = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        raise DataError(
            f"the recording lacks {len(missing)} of the {len(names)} electrodes that the model was trained with: "
            f"{listed}; rename its channels or interpolate what is missing (raw.rename_channels, raw.interpolate_to), "
            "or train a model for any montage (model.rows=pooling, model.subject_layer=false)"
        )

    def _positions(self, channels: list[Channel]) -> NDArray[np.float64]:
        places = _places(channels)
        trained = {
            _key(name): place
            for montage in self.montages
            for name, place in zip(montage.names, montage.positions, strict=True)
        }
        for index, channel in enumerate(channels):
            if not np.isfinite(places[index]).all():
                known = trained.get(_key(channel.name))
                places[index] = electrode_positions([channel.name])[0] if known is None else known
        return places


def _key(name: str) -> str:
    name = name.strip().lower()
    return OLD_NAMES.get(name, name)


def _places(channels: list[Channel]) -> NDArray[np.float64]:
    return np.array([[c.x, c.y, c.z] for c in channels], float).reshape(-1, 3)


def _with(raw: RawRecording, rows: list[int], places: NDArray[np.float64], beside: list[int]) -> RawRecording:
    """A recording with some of its channels, moved, and then those that are only looked at."""
    channels = [replace(raw.channels[row], x=x, y=y, z=z) for row, (x, y, z) in zip(rows, places.tolist(), strict=True)]
    channels += [raw.channels[row] for row in beside]
    return replace(raw, eeg=raw.eeg[np.array([*rows, *beside], np.intp), :], channels=channels)
