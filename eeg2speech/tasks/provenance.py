"""What a task's weights were trained on: kept from stage to stage, and compared with what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from eeg2speech.checkpoints.parts import read_data
from eeg2speech.checkpoints.training_record import (
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
    for split, seen in _compare(earlier, data, ("val", *data.test_splits), task).items():
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
    """Refuse lists of unseen sounds or subjects that the task's weights were trained on.

    What was seen goes into the task's results, under ``seen``.

    Args:
        task: About to be tested or validated.
        splits: Names of the lists.

    Raises:
        ConfigError: A list is not unseen, or nothing is known of it, and ``allow_seen`` of the data module is not set.
    """
    data = getattr(task.trainer, "datamodule", None)
    if not hasattr(data, "material"):
        note = "the lists come from a program's own data; they were not compared with what was trained on"
        rank_zero_info(note)
        task.results["seen"] = {"lists": {}, "notes": [note]}
        return
    allowed = bool(getattr(data, "allow_seen", False))
    records = [unknown_training(EARLIER)] if task.training_records is None else task.training_records
    unknown = [record.stage for record in records if record.data.get("unknown")]
    if unknown and not allowed:
        raise ConfigError(
            f"there is no record of what {' and '.join(unknown)} was trained on, so that no list can be called unseen; "
            "train again with this version, or test nevertheless with --allow_seen true"
        )
    lists = _compare(records, data, splits, task)
    known = {split: seen for split, seen in lists.items() if seen.trained}
    if known and not allowed:
        what = "; ".join(f"{split}: {seen.text} by {', '.join(seen.stages)}" for split, seen in known.items())
        raise ConfigError(
            f"these lists are not unseen: {what}. Test with the data.split, data.conditions and data.store of the "
            "run (the config.yaml in its folder has them), or go on with --allow_seen true, and the results will say so"
        )
    notes = [_unlabelled(split, seen) for split, seen in lists.items() if seen.unlabelled]
    notes += [f"{split}: checkpoints were chosen on {listed(s.validated)}" for split, s in lists.items() if s.validated]
    for note in notes:
        rank_zero_info(note)
    task.results["seen"] = {"lists": {split: _plain(seen) for split, seen in lists.items()}, "notes": notes}


def _compare(records: Sequence[TrainingRecord], data: Any, splits: Sequence[str], task: Task) -> dict[str, Seen]:
    new_subjects = bool(data.training_data()["new_subjects"])
    return {
        split: seen_before(records, split, data.material(split), task.learned, new_subjects)
        for split in splits
        if split in data.datasets
    }


def _unlabelled(split: str, seen: Seen) -> str:
    return f"{split}: an earlier stage saw EEG of {listed(seen.unlabelled)}, without labels"


def _plain(seen: Seen) -> dict[str, Any]:
    """What of a list was seen, for ``test.json``."""
    return {
        "text": seen.text, "sounds": list(seen.sounds), "subjects": list(seen.subjects), "stages": list(seen.stages),
        "unlabelled": list(seen.unlabelled), "validated": list(seen.validated),
    }  # fmt: skip
