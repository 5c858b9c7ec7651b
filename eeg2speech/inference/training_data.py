"""What a model was trained on, and new recordings made to look like it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import DECODABLE, Channel, RawRecording, Segment
from eeg2speech.data.electrodes.montage import (
    check_positions,
    electrode_positions,
    order_by_position,
    places_of,
    warn_of_mixture,
)
from eeg2speech.data.electrodes.names import contradict, find_channels, key_of
from eeg2speech.data.loading.scaling import Scaling, fit_scalings
from eeg2speech.data.loading.windows import Window, WindowDataset, cut_windows
from eeg2speech.data.preparation.ica import Ica
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess
from eeg2speech.data.store.store import Store
from eeg2speech.inference.memory_store import MemoryStore

INTRACRANIAL = ("seeg", "ecog")
_NAMED = 5  # electrodes in an error message

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedMontage:
    """Channels of training recordings in the order of their files.

    Attributes:
        names: As in the files.
        positions: Metres in head coordinates, NaN where unknown, (channels, 3).
        types: Of ``types.DECODABLE``.
    """

    names: tuple[str, ...]
    positions: NDArray[np.float64]
    types: tuple[str, ...]


@dataclass(frozen=True)
class TrainingDataInfo:
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
    def of(cls, remembered: Mapping[str, Any], source: str) -> TrainingDataInfo:
        """Read what a checkpoint or an export remembers.

        Raises:
            DataError: Something of it is missing.
        """
        try:
            settings = dict(remembered["preprocessing"])
            settings["band"] = tuple(settings["band"])
            settings["ica"] = Ica(**settings["ica"]) if settings.get("ica") else None
            montages = tuple(
                TrainedMontage(
                    tuple(m["names"]),
                    np.array([p or (np.nan,) * 3 for p in m["positions"]], float).reshape(-1, 3),
                    # checkpoints of earlier versions could only be used with EEG, and do not say it
                    tuple(m.get("types") or ("eeg",) * len(m["names"])),
                )
                for m in remembered["montages"]
            )
            if any(not len(m.names) == len(m.positions) == len(m.types) for m in montages):
                raise ValueError("names, types and positions of channels differ in number")
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
    def types(self) -> tuple[str, ...]:
        """Types of channels that were trained on, in the order of ``types.DECODABLE``."""
        return _in_order({kind for montage in self.montages for kind in montage.types})

    @property
    def samples(self) -> int:
        """EEG samples of a window."""
        return round(self.window * self.preprocessing.rate)

    def step(self, hop: float | None) -> int:
        """EEG samples from one window's start to the next, for a hop in seconds; None for windows end to end.

        Raises:
            ConfigError: It is no step forward.
        """
        number = hop if isinstance(hop, int | float | np.integer | np.floating) else np.nan
        if hop is not None and (isinstance(hop, bool) or not np.isfinite(number)):
            raise ConfigError(f"hop={hop!r} is no number of seconds; leave it out for windows end to end")
        step = self.samples if hop is None else round(number * self.preprocessing.rate)
        if step < 1:
            raise ConfigError(f"hop={hop} s is less than the {1 / self.preprocessing.rate:g} s of a sample of EEG")
        return step

    def windows(self, raw: RawRecording, fixed: bool, hop: float | None = None) -> WindowDataset:
        """Prepare a recording as the training recordings were and cut it into windows that never cross a break.

        Its scale is fitted on the whole of it, since nothing of it was trained on. ``sound_start`` of a window is its
        time in the recording, in seconds; the EEG itself is read ``lag`` later.

        Args:
            raw: In volts or teslas.
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
            raw: In volts or teslas.
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
        named = find_channels(self.preprocessing.bad, raw.channels).values()
        bad = {name for names in named for name in names} | {c.name for c in raw.channels if c.status == "bad"}
        settings = replace(self.preprocessing, bad=sorted(bad))
        # nothing goes on in a pause: times are those of the recording's samples
        made = preprocess(replace(raw, segments=pieces, unrecorded={}), settings, name)
        return MemoryStore(name, made.eeg, rate, made.channels, made.segments, made.blocks)

    def typed(self, channels: list[Channel], types: str | Sequence[str] | None) -> list[Channel]:
        """Channels of an array with their types: those given, else that of the same name in training.

        Raises:
            DataError: A type is not one of training, or none is given where training had several.
        """
        if types is None:
            known = {_key(name, kind): kind for m in self.montages for name, kind in zip(m.names, m.types, strict=True)}
            only = self.types[0] if len(self.types) == 1 else None
            listed = [
                only or next((k for k in self.types if known.get(_key(channel.name, k)) == k), "unknown")
                for channel in channels
            ]
        else:
            listed = (
                list(types) if isinstance(types, Sequence) and not isinstance(types, str) else [types] * len(channels)
            )
        if len(listed) != len(channels):
            raise DataError(f"types of {len(listed)} channels for {len(channels)}; give one, or one for each channel")
        for channel, kind in zip(channels, listed, strict=True):
            if kind not in self.types:
                raise DataError(
                    f"channel {channel.name!r}: types={kind!r}, where the model was trained on "
                    f"{' and '.join(self.types)}; say the type of each channel, and leave others out"
                )
        return [replace(channel, type=kind) for channel, kind in zip(channels, listed, strict=True)]

    def choose_channels(self, raw: RawRecording, fixed: bool) -> RawRecording:
        """Keep the channels that the model can use, with positions, and those of the eyes if training needed them.

        A channel lies where the recording says, else where it lay in training, else where its name lies on a standard
        head. Names of intracranial electrodes mean another place in every person: they lie where they lay in training
        only if all their names are those of one of its recordings. What lies on no scalp may lie nobody knows where.
        With ``fixed``, channels stay where they lay in training if the recording's own positions would bring them into
        another order.

        Raises:
            DataError: A channel is missing, occurs twice or is of another type, or an electrode on the scalp lies
                nobody knows where.
        """
        rows = [row for row, channel in enumerate(raw.channels) if channel.type in self.types]
        check_positions([raw.channels[row] for row in rows], "recording")
        ica = self.preprocessing.ica
        beside = [row for row, c in enumerate(raw.channels) if c.type == "eog"] if ica and ica.method == "eog" else []
        if not fixed:
            return _with(raw, rows, self._positions([raw.channels[row] for row in rows]), beside)
        row_of = {_key(raw.channels[row].name, raw.channels[row].type): row for row in rows}
        lacking = {}
        for montage in sorted(self.montages, key=lambda known: -len(known.names)):
            other = contradict(montage.names, [raw.channels[row].name for row in rows])
            keys = _keys(montage)
            missing = [name for name, key in zip(montage.names, keys, strict=True) if other or key not in row_of]
            if missing:
                lacking[montage.names] = missing
                continue
            chosen = [row_of[key] for key in _keys(montage)]
            _check_chosen(raw.channels, rows, chosen, montage)
            own = places_of([raw.channels[row] for row in chosen])
            given = np.isfinite(own).all(1, keepdims=True)
            own = np.where(given, own, montage.positions)
            same = np.array_equal(order_by_position(own), order_by_position(montage.positions))
            if same:
                warn_of_mixture("recording", int(given.sum()), int((~given).sum()), 0)
            return _with(raw, chosen, own if same else montage.positions, beside)
        names, missing = min(lacking.items(), key=lambda item: len(item[1]))
        listed = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        what = "electrodes" if set(self.types) <= {"eeg", "seeg", "ecog"} else "sensors"
        raise DataError(
            f"the recording lacks {len(missing)} of the {len(names)} {what} that the model was trained with: "
            f"{listed}; rename its channels or interpolate what is missing (raw.rename_channels, raw.interpolate_to), "
            "or train a model for any montage (model.spatial_pooling=pooling, model.subject_layer=false)"
        )

    def _positions(self, channels: list[Channel]) -> NDArray[np.float64]:
        places, names = places_of(channels), [channel.name for channel in channels]
        keys = [_key(channel.name, channel.type) for channel in channels]
        unknown = [index for index in range(len(channels)) if not np.isfinite(places[index]).all()]
        in_training, lost = 0, []
        for index in unknown:
            kind = channels[index].type
            known = self._trained_place(keys[index], kind, keys, names)
            if known is not None:
                places[index] = known
                in_training += 1
            elif kind == "eeg":
                places[index] = electrode_positions([names[index]], among=names)[0]
            else:
                lost.append(names[index])
        if lost:
            listed = ", ".join(lost[:_NAMED]) + (" ..." if len(lost) > _NAMED else "")
            logger.warning("recording: no place is known for %d channels (%s); they go without one", len(lost), listed)
        by_name = len(unknown) - in_training - len(lost)
        warn_of_mixture("recording", len(names) - len(unknown), in_training, by_name)
        return places

    def _trained_place(
        self, key: str, kind: str, keys: Sequence[str], names: Sequence[str]
    ) -> NDArray[np.float64] | None:
        """Where a channel lay in training, None if that says nothing of this recording or is not known.

        Args:
            key: Of the channel.
            kind: Its type.
            keys: Of all channels of the recording.
            names: Of all channels of the recording.
        """
        place = None
        for montage in self.montages:
            trained = _keys(montage)
            if key not in trained or (kind in INTRACRANIAL and set(trained) != set(keys)):
                continue
            known = montage.positions[trained.index(key)]
            if np.isfinite(known).all() and not contradict(montage.names, names):
                place = known
        return place


def _check_chosen(
    channels: Sequence[Channel], rows: Sequence[int], chosen: Sequence[int], montage: TrainedMontage
) -> None:
    """Refuse channels that cannot be told apart by their names, and those of another type than in training."""
    keys = [_key(channels[row].name, channels[row].type) for row in rows]
    for row, key, kind in zip(chosen, _keys(montage), montage.types, strict=True):
        if keys.count(key) > 1:
            same = [channels[other].name for other, its in zip(rows, keys, strict=True) if its == key]
            raise DataError(f"channels {' and '.join(same)} are the same electrode; rename or drop one of them")
        if channels[row].type != kind:
            raise DataError(
                f"channel {channels[row].name} is {channels[row].type}, in training it was {kind}; correct its type "
                "(raw.set_channel_types)"
            )


def trained_types(remembered: Mapping[str, Any]) -> tuple[str, ...]:
    """Types of channels that a checkpoint or an export remembers; EEG where it remembers none."""
    return _in_order({kind for montage in remembered.get("montages", []) for kind in montage.get("types", ["eeg"])})


def _in_order(types: Collection[str]) -> tuple[str, ...]:
    return tuple(kind for kind in DECODABLE if kind in types) or ("eeg",)


def _key(name: str, kind: str) -> str:
    return key_of(kind)(name)


def _keys(montage: TrainedMontage) -> list[str]:
    return [_key(name, kind) for name, kind in zip(montage.names, montage.types, strict=True)]


def _with(raw: RawRecording, rows: list[int], places: NDArray[np.float64], beside: list[int]) -> RawRecording:
    """A recording with some of its channels, moved, and then those that are only looked at."""
    channels = [replace(raw.channels[row], x=x, y=y, z=z) for row, (x, y, z) in zip(rows, places.tolist(), strict=True)]
    channels += [raw.channels[row] for row in beside]
    return replace(raw, eeg=raw.eeg[np.array([*rows, *beside], np.intp), :], channels=channels)
