"""Training provenance of a task: its training records, and the check that test splits are unseen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from eeg2speech.checkpoints.parts import read_data
from eeg2speech.checkpoints.training_record import (
    Learned,
    Material,
    Overlap,
    TrainingRecord,
    join_names,
    merged,
    overlap_with_training,
    read_records,
)
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics.results import SeenSplits

if TYPE_CHECKING:
    from eeg2speech.tasks.base import Task


EARLIER = "the checkpoint"
"""Name of the unknown training of a checkpoint without training records."""


def records_of(source: Path | str | None) -> list[TrainingRecord]:
    """Training records of weights that a run starts from; of a checkpoint without records, one of unknown training.

    Args:
        source: Checkpoint or exported folder that the weights were read from; None for random weights. Weights of
            other software, from the hub or from a file, have no records.
    """
    if source is None or not (path := expanded(source)).exists():
        return []
    try:
        data = read_data(path)
    except DataError:  # weights in another format
        return []
    found = read_records(data, str(source))
    return [unknown_training(str(source))] if found is None and data else found or []


def unknown_training(stage: str) -> TrainingRecord:
    """Record of a training on unknown data."""
    return TrainingRecord(stage, "pairs", Material(), data={"unknown": True})


def known_records(task: Task) -> list[TrainingRecord]:
    """The records of a task; one of unknown training where its checkpoint has none."""
    return [unknown_training(EARLIER)] if task.training_records is None else task.training_records


def begin_training(task: Task) -> None:
    """Add this training to the records of its task, and warn of held-out splits that earlier stages were trained on.

    Args:
        task: About to be trained, with the weights that it starts from.
    """
    data = task.data_info.windows
    earlier = known_records(task)
    if data is None:  # a program's own data
        task.training_records = merged([*earlier, unknown_training(type(task).__name__)])
        return
    for split, overlap in _overlaps(earlier, data, ("val", *data.test_splits), task.learned).items():
        if overlap.trained:
            rank_zero_warn(
                f"{split}: {overlap.text} by {', '.join(overlap.stages)}, whose weights this run starts from; its test "
                "will refuse this split; train both with the same data.split"
            )
        if overlap.unlabelled:
            rank_zero_info(_unlabelled(split, overlap))
    trained, validated = data.material("train"), data.material("val")
    if task.learned == "sound":  # no EEG, and so no subjects
        trained, validated = Material(trained.sounds), Material(validated.sounds)
    own = TrainingRecord(type(task).__name__, task.learned, trained, validated, data.training_data())
    task.training_records = merged([*earlier, own])


def check_unseen(task: Task, splits: Sequence[str]) -> None:
    """Refuse splits of unseen sounds or subjects that the task's weights were trained on.

    The overlap of every split goes into the task's results, under ``seen``.

    Args:
        task: About to be validated or tested.
        splits: Names of the splits.

    Raises:
        ConfigError: See ``compare_with_training``.
    """
    data = task.data_info.windows
    if data is None:
        note = "the splits come from a program's own data; they were not compared with the training data"
        rank_zero_info(note)
        task.results["seen"] = SeenSplits(notes=[note])
    else:
        task.results["seen"] = compare_with_training(task.training_records, data, splits, task.learned)


def compare_with_training(
    records: Sequence[TrainingRecord] | None, data: EEGAudioDataModule, splits: Sequence[str], learned: Learned
) -> SeenSplits:
    """Overlap of splits with the training data of a model.

    Args:
        records: Trainings of the weights; None if a checkpoint has no records.
        data: Data module of the splits. With its ``allow_seen``, a split that is not unseen is no error.
        splits: Names of the splits.
        learned: Data of the model's own training.

    Raises:
        ConfigError: A split is not unseen, or this is unknown, and ``allow_seen`` of the data module is not set.
    """
    records = [unknown_training(EARLIER)] if records is None else records
    unknown = [record.stage for record in records if record.data.get("unknown")]
    if unknown and not data.allow_seen:
        raise ConfigError(
            f"there is no record of what {' and '.join(unknown)} was trained on, so that no split can be called "
            "unseen; train again with this version, or test nevertheless with --allow_seen true"
        )
    overlaps = _overlaps(records, data, splits, learned)
    trained = [
        f"{split}: {overlap.text} by {', '.join(overlap.stages)}"
        for split, overlap in overlaps.items()
        if overlap.trained
    ]
    if trained and not data.allow_seen:
        raise ConfigError(
            f"these splits are not unseen: {'; '.join(trained)}. Test with the data.split, data.conditions and "
            "data.store of the run (the config.yaml in its folder has them), or with --allow_seen true, which the "
            "results then report"
        )
    notes = [_unlabelled(split, overlap) for split, overlap in overlaps.items() if overlap.unlabelled]
    notes += [
        f"{split}: checkpoints were chosen on {join_names(overlap.validated)}"
        for split, overlap in overlaps.items()
        if overlap.validated
    ]
    for note in notes:
        rank_zero_info(note)
    return SeenSplits(overlaps, notes)


def _overlaps(
    records: Sequence[TrainingRecord], data: EEGAudioDataModule, splits: Sequence[str], learned: Learned
) -> dict[str, Overlap]:
    new_subjects = bool(data.training_data()["new_subjects"])
    return {
        split: overlap_with_training(records, split, data.material(split), learned, new_subjects)
        for split in data.datasets
        if split in splits
    }


def _unlabelled(split: str, overlap: Overlap) -> str:
    return f"{split}: an earlier stage was trained on EEG of {join_names(overlap.unlabelled)}, without labels"
