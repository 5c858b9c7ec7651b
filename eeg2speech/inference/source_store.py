"""The store that speech is generated from, with scalings and splits as in training."""

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
class SourceStore:
    """A store and how to read it.

    Attributes:
        store: The prepared data.
        scalings: Of every recording: those of training if the model was trained on this store, else each fitted on its
            whole recording.
        splits: Split of each segment, without segments in no split; None if the model was trained on another store.
        subjects: Labels of its subjects; empty labels in another dataset than that of training, whose labels stand for
            other people.
        notes: Differences from training that a user should know of, one line each.
    """

    store: Store
    scalings: dict[str, Scaling]
    splits: Mapping[Segment, str] | None
    subjects: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_source_store(training_data: TrainingDataInfo, fixed: bool, root: Path | None = None) -> SourceStore:
    """Open the store to generate from.

    Args:
        training_data: Of the model.
        fixed: The model identifies electrodes by their order; see ``choose_channels``.
        root: Folder of the store; None for the embedded dataset that the model was trained on.

    Raises:
        ConfigError: No store is named, and the model was not trained on the embedded dataset.
        DataError: The store has another rate or other channel types than in training or, with ``fixed``, other
            electrodes.
    """
    learned = dict(training_data.record.get("learned_from", {}))
    if root is None:
        root = _embedded(learned, training_data)
    store, rate = Store(root), training_data.preprocessing.rate
    if store.rate != rate:
        raise DataError(
            f"{store.root}: EEG at {store.rate:g} Hz, the model was trained at {rate:g} Hz; prepare it with "
            f"--preprocessing.rate {rate:g}"
        )
    if learned and store.fingerprint == learned["fingerprint"]:
        data = _as_trained(learned, training_data, store.root)
        splits = {window.segment: str(split) for split, found in data.datasets.items() for window in found.windows}
        splits = _without_trained(splits, data.store, training_data.record)
        return SourceStore(data.store, data.scalings, splits, tuple(store.subjects))
    _check_types(store, training_data)
    if fixed:
        _check_montages(store, training_data)
    whole = {recording.recording: [whole_recording(store, recording)] for recording in store.recordings}
    same = store.description.name == training_data.name
    subjects = tuple(label if same else "" for label in store.subjects)
    return SourceStore(store, fit_scalings(store, whole), None, subjects, tuple(_differences(store, training_data)))


def _without_trained(splits: Mapping[Segment, str], store: Store, record: Mapping[str, Any]) -> dict[Segment, str]:
    """Splits of segments, where sounds and subjects that an earlier stage was trained on count as training."""
    records = read_records(record, str(store.root)) or []
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


def _embedded(learned: Mapping[str, Any], training_data: TrainingDataInfo) -> Path:
    settings = learned.get("simulation")
    if settings is None:
        raise ConfigError(
            f"the model was trained on {training_data.name}, not on the embedded dataset; name a prepared store with "
            "--store"
        )
    try:
        return embedded_store(Simulation(**{**settings, "snr": float(settings["snr"])}))
    except (TypeError, KeyError) as error:
        raise DataError(
            f"the checkpoint was written by another version, whose simulation had other settings ({error}); name a "
            "prepared store with --store"
        ) from error


def _as_trained(learned: Mapping[str, Any], training_data: TrainingDataInfo, root: Path) -> EEGAudioDataModule:
    """The data module of the training, with its splits."""
    try:
        data = EEGAudioDataModule(
            root, training_data.window, split=Split(**learned["split"]), train_fraction=learned["train_fraction"],
            conditions=learned["conditions"], scaling=learned["scaling"], clamp=training_data.clamp,
            lag=training_data.lag,
        )  # fmt: skip
    except (TypeError, KeyError) as error:
        raise DataError(
            f"the checkpoint has no description of the split of its data ({error}); use one of this version"
        ) from error
    data.setup()
    return data


def _check_types(store: Store, training_data: TrainingDataInfo) -> None:
    """Refuse channels of types that the model was not trained on."""
    for recording in store.recordings:
        others = sorted({c.type for c in store.channels(recording.recording)} - set(training_data.types))
        if others:
            raise DataError(
                f"{store.root}: recording {recording.recording} has channels of type {' and '.join(others)}, the model "
                f"was trained on {' and '.join(training_data.types)}; name a store of those"
            )


def _check_montages(store: Store, training_data: TrainingDataInfo) -> None:
    """Refuse electrodes that differ from those of every training montage, in name or order."""
    trained = {
        tuple(electrode_key(montage.names[index]) for index in order_by_position(montage.positions))
        for montage in training_data.montages
    }
    for recording in store.recordings:
        channels = store.channels(recording.recording)
        order = order_by_position(np.array([[c.x, c.y, c.z] for c in channels], float).reshape(-1, 3))
        names = tuple(electrode_key(channels[index].name) for index in order)
        if names in trained:
            continue
        lists = [montage.names for montage in training_data.montages]
        nearest = min(lists, key=lambda listed: len({electrode_key(name) for name in listed} ^ set(names)))
        lacking = [name for name in nearest if electrode_key(name) not in names]
        what = f"lacks {', '.join(lacking[:5])}" if lacking else "has them in another order, or has others as well"
        raise DataError(
            f"{store.root}: recording {recording.recording} has {len(names)} electrodes, the model was trained with "
            f"{len(nearest)}: it {what}; prepare it with the same ones, or train a model for any montage "
            "(model.spatial_pooling=pooling, model.subject_layer=false)"
        )


def _differences(store: Store, training_data: TrainingDataInfo) -> list[str]:
    """Notes on a store that the model was not trained on, and on differences in its preparation."""
    notes = [
        f"{store.root} is not the store that the model was trained on: it is not known which of its sounds and "
        "subjects are unseen, and each recording is scaled as a whole"
    ]
    for name in ("band", "reference"):
        here, there = (
            store.description.settings.get(f"preprocessing.{name}"),
            getattr(training_data.preprocessing, name),
        )
        here = tuple(here) if isinstance(here, list) else here
        if here is not None and here != there:
            notes.append(f"{store.root} was prepared with {name}={here}, the model was trained with {there}")
    return notes
