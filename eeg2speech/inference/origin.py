"""The store that speech is generated from, seen as the model saw the one it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eeg2speech.checkpoints.training_record import overlap_with_training, read_records
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.electrodes.montage import order_by_position
from eeg2speech.data.electrodes.names import electrode_key
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.material import material_of
from eeg2speech.data.loading.scaling import Scaling, fit_scalings
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.simulation.embedded import embedded_store
from eeg2speech.data.simulation.simulator import Simulation
from eeg2speech.data.store.store import Store
from eeg2speech.inference.clips import whole_recording
from eeg2speech.inference.training_data import TrainingDataInfo


@dataclass(frozen=True)
class Origin:
    """A store and how to read it.

    Attributes:
        store: The prepared data.
        scalings: Of every recording. On the store that was trained on they are those of training; on another one each
            is fitted on its whole recording, since nothing of it was trained on.
        splits: List that each segment belongs to, without those that no list uses; None on a store other than the one
            that was trained on.
        subjects: Labels of its people; empty in another dataset than the one that was trained on, where the same label
            is another person's.
        notes: What a user should know of it, one line each.
    """

    store: Store
    scalings: dict[str, Scaling]
    splits: Mapping[Segment, str] | None
    subjects: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_origin(
    remembered: Mapping[str, Any], trained_on: TrainingDataInfo, fixed: bool, root: Path | None = None
) -> Origin:
    """Open the store to generate from.

    Args:
        remembered: What a checkpoint keeps of its data.
        trained_on: The same, read.
        fixed: The model knows its electrodes by their place in the list.
        root: Folder of the store; None for the embedded dataset that the model was trained on.

    Raises:
        ConfigError: No store is named, and the model was not trained on the embedded dataset.
        DataError: The store has another rate, other types of channels, or other electrodes than a model with ``fixed``
            ones needs.
    """
    learned = dict(remembered.get("learned_from", {}))
    if root is None:
        root = _embedded(learned, trained_on)
    store = Store(root)
    if store.rate != trained_on.preprocessing.rate:
        raise DataError(
            f"{store.root}: EEG at {store.rate:g} Hz, the model was trained at {trained_on.preprocessing.rate:g} Hz; "
            f"prepare it with --preprocessing.rate {trained_on.preprocessing.rate:g}"
        )
    if learned and store.fingerprint == learned["fingerprint"]:
        data = _as_trained(learned, trained_on, store.root)
        splits = {window.segment: str(split) for split, found in data.datasets.items() for window in found.windows}
        splits = _without_trained(splits, data.store, remembered)
        return Origin(data.store, data.scalings, splits, tuple(store.subjects))
    _check_types(store, trained_on)
    if fixed:
        _check_montages(store, trained_on)
    whole = {recording.recording: [whole_recording(store, recording)] for recording in store.recordings}
    same = store.description.name == trained_on.name
    subjects = tuple(label if same else "" for label in store.subjects)
    return Origin(store, fit_scalings(store, whole), None, subjects, tuple(_differences(store, trained_on)))


def _without_trained(splits: Mapping[Segment, str], store: Store, remembered: Mapping[str, Any]) -> dict[Segment, str]:
    """Lists of segments, where what an earlier stage was trained on is in no list of unseen sounds or subjects."""
    records = read_records(remembered, str(store.root)) or []
    kept = {}
    for split in dict.fromkeys(splits.values()):
        segments = [segment for segment, its in splits.items() if its == split]
        seen = overlap_with_training(records, split, material_of(store, segments), "pairs")
        subject_of = {row.recording: row.subject for row in store.recordings}
        for segment in segments:
            trained = split != "val" and (
                segment.stimulus in seen.sounds or subject_of[segment.recording] in seen.subjects
            )
            kept[segment] = "train" if trained else split
    return kept


def _embedded(learned: Mapping[str, Any], trained_on: TrainingDataInfo) -> Path:
    settings = learned.get("simulation")
    if settings is None:
        raise ConfigError(
            f"the model was trained on {trained_on.name}, not on the embedded dataset; name a prepared store (--store)"
        )
    try:
        return embedded_store(Simulation(**{**settings, "snr": float(settings["snr"])}))
    except (TypeError, KeyError) as error:
        raise DataError(
            f"the checkpoint was written by another version, whose simulation had other settings ({error}); name a "
            "prepared store with --store"
        ) from error


def _as_trained(learned: Mapping[str, Any], trained_on: TrainingDataInfo, root: Path) -> EEGAudioDataModule:
    """The data module of the training, which alone knows how it divides a store."""
    try:
        data = EEGAudioDataModule(
            root, trained_on.window, split=Split(**learned["split"]), train_fraction=learned["train_fraction"],
            conditions=learned["conditions"], scaling=learned["scaling"], clamp=trained_on.clamp, lag=trained_on.lag,
        )  # fmt: skip
    except (TypeError, KeyError) as error:
        raise DataError(
            f"the checkpoint does not say how its data were split ({error}); use one of this version"
        ) from error
    data.setup()
    return data


def _check_types(store: Store, trained_on: TrainingDataInfo) -> None:
    """Refuse channels of types that the model was not trained on, which it would take for those it was."""
    for recording in store.recordings:
        others = sorted({c.type for c in store.channels(recording.recording)} - set(trained_on.types))
        if others:
            raise DataError(
                f"{store.root}: recording {recording.recording} has channels of type {' and '.join(others)}, the model "
                f"was trained on {' and '.join(trained_on.types)}; name a store of those"
            )


def _check_montages(store: Store, trained_on: TrainingDataInfo) -> None:
    """Refuse electrodes that a model which knows them by their place would take for others."""
    known = {
        tuple(electrode_key(montage.names[index]) for index in order_by_position(montage.positions))
        for montage in trained_on.montages
    }
    for recording in store.recordings:
        channels = store.channels(recording.recording)
        order = order_by_position(np.array([[c.x, c.y, c.z] for c in channels], float).reshape(-1, 3))
        names = tuple(electrode_key(channels[index].name) for index in order)
        if names in known:
            continue
        lists = [montage.names for montage in trained_on.montages]
        nearest = min(lists, key=lambda listed: len({electrode_key(name) for name in listed} ^ set(names)))
        lacking = [name for name in nearest if electrode_key(name) not in names]
        what = f"lacks {', '.join(lacking[:5])}" if lacking else "has them in other places, or others as well"
        raise DataError(
            f"{store.root}: recording {recording.recording} has {len(names)} electrodes, the model was trained with "
            f"{len(nearest)}: it {what}; prepare it with the same ones, or train a model for any montage "
            "(model.spatial_pooling=pooling, model.subject_layer=false)"
        )


def _differences(store: Store, trained_on: TrainingDataInfo) -> list[str]:
    """How a store was prepared otherwise than the one that was trained on, and what follows from its being another."""
    notes = [
        f"{store.root} is not the store that the model was trained on: which of its sounds and people are new is not "
        "known, and each recording is scaled as a whole"
    ]
    for name in ("band", "reference"):
        here, there = store.description.settings.get(f"preprocessing.{name}"), getattr(trained_on.preprocessing, name)
        here = tuple(here) if isinstance(here, list) else here
        if here is not None and here != there:
            notes.append(f"{store.root} was prepared with {name}={here}, the model was trained with {there}")
    return notes
