"""What a task's weights were trained on: kept from stage to stage, and compared with what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from eeg2speech.checkpoints.parts import read_data
from eeg2speech.checkpoints.training_record import (
    Learned,
    Material,
    Seen,
    TrainingRecord,
    listed,
    merged,
    read_records,
    seen_before,
)
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.metrics.results import SeenSplits

if TYPE_CHECKING:
    from eeg2speech.tasks.base import Task


EARLIER = "the checkpoint"
"""Stands for trainings that a checkpoint of an earlier version does not record."""


def records_of(source: Path | str | None) -> list[TrainingRecord]:
    """Records of weights that a run takes over.

    Weights of other software, from the hub or from a file, have none. An encoder of an earlier version has one that
    says so.

    Args:
        source: Checkpoint or exported folder that the weights were read from; None for random weights.
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
    """The record of a training of which nobody knows what it was on."""
    return TrainingRecord(stage, "pairs", Material(), data={"unknown": True})


def begin_training(task: Task) -> None:
    """Add a training to the records of its task, and warn of held-out lists that earlier stages were trained on.

    Args:
        task: About to be trained, with its weights taken over.
    """
    data: Any = getattr(task.trainer, "datamodule", None)
    earlier = [unknown_training(EARLIER)] if task.training_records is None else task.training_records
    if not hasattr(data, "material"):  # a program's own data
        task.training_records = merged([*earlier, unknown_training(type(task).__name__)])
        return
    for split, seen in _compare(earlier, data, ("val", *data.test_splits), task.learned).items():
        if seen.trained:
            rank_zero_warn(
                f"{split}: {seen.text} by {', '.join(seen.stages)}, which this run takes over; its test will refuse "
                "this list; train both with the same data.split"
            )
        if seen.unlabelled:
            rank_zero_info(_unlabelled(split, seen))
    trained, validated = data.material("train"), data.material("val")
    if task.learned == "sound":  # it sees no EEG, and so no subject
        trained, validated = Material(trained.sounds), Material(validated.sounds)
    own = TrainingRecord(type(task).__name__, task.learned, trained, validated, data.training_data())
    task.training_records = merged([*earlier, own])


def check_unseen(task: Task, splits: Sequence[str]) -> None:
    """Refuse splits of unseen sounds or subjects that the task's weights were trained on.

    What was seen goes into the task's results, as ``seen``.

    Args:
        task: About to be tested or validated.
        splits: Names of the splits.

    Raises:
        ConfigError: See ``compare_with_training``.
    """
    data = getattr(task.trainer, "datamodule", None)
    if hasattr(data, "material"):
        task.results["seen"] = compare_with_training(task.training_records, data, splits, task.learned)
    else:
        note = "the splits come from a program's own data; they were not compared with what was trained on"
        rank_zero_info(note)
        task.results["seen"] = SeenSplits(notes=[note])


def compare_with_training(
    records: Sequence[TrainingRecord] | None, data: Any, splits: Sequence[str], learned: Learned
) -> SeenSplits:
    """What of some splits was trained on.

    Args:
        records: Of the trainings that the weights come from; None where a checkpoint has none.
        data: Data module of the splits. With its ``allow_seen`` a split that is not unseen is no error.
        splits: Names of the splits.
        learned: What the model itself learns from.

    Raises:
        ConfigError: A split is not unseen, or nothing is known of it, and ``allow_seen`` is not set.
    """
    allowed = bool(getattr(data, "allow_seen", False))
    records = [unknown_training(EARLIER)] if records is None else records
    unknown = [record.stage for record in records if record.data.get("unknown")]
    if unknown and not allowed:
        raise ConfigError(
            f"there is no record of what {' and '.join(unknown)} was trained on, so that no split can be called "
            "unseen; train again with this version, or test nevertheless with --allow_seen true"
        )
    seen = _compare(records, data, splits, learned)
    trained = {split: one for split, one in seen.items() if one.trained}
    if trained and not allowed:
        what = "; ".join(f"{split}: {one.text} by {', '.join(one.stages)}" for split, one in trained.items())
        raise ConfigError(
            f"these splits are not unseen: {what}. Test with the data.split, data.conditions and data.store of the "
            "run (the config.yaml in its folder has them), or with --allow_seen true, and the results will say so"
        )
    notes = [_unlabelled(split, one) for split, one in seen.items() if one.unlabelled]
    notes += [
        f"{split}: checkpoints were chosen on {listed(one.validated)}" for split, one in seen.items() if one.validated
    ]
    for note in notes:
        rank_zero_info(note)
    return SeenSplits(seen, notes)


def _compare(records: Sequence[TrainingRecord], data: Any, splits: Sequence[str], learned: Learned) -> dict[str, Seen]:
    new_subjects = bool(data.training_data()["new_subjects"])
    return {
        split: seen_before(records, split, data.material(split), learned, new_subjects)
        for split in splits
        if split in data.datasets
    }


def _unlabelled(split: str, seen: Seen) -> str:
    return f"{split}: an earlier stage saw EEG of {listed(seen.unlabelled)}, without labels"
