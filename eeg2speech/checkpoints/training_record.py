"""What a model was trained on, and whether the lists that it is tested on are unseen.

A model carries a record of every training that its weights come from: its own, those of the encoders it took over, and
those of pretrained components. Sounds are compared by the hash of their samples, subjects by dataset and label and by
their recordings, so that other names do not hide them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from eeg2speech.core.errors import DataError

Learned = Literal["eeg", "sound", "pairs"]
"""What a training learns from: EEG without labels, sound without EEG, or both together."""
NEW_SOUNDS = ("unseen_stimulus", "unseen_both")
"""Test lists whose sounds must not have been trained on."""
NEW_SUBJECTS = ("unseen_subject", "unseen_both")
"""Test lists whose subjects must not have been trained on."""
KEY = "training_records"
"""Of the records in what a checkpoint or an export says of its data."""
UNJUDGED = "not judged, as the split is not unseen"
"""The verdict on a split that was trained on."""
_NAMED = 5  # sounds or subjects in a message


@dataclass(frozen=True)
class Material:
    """Sounds, subjects and recordings of a list of windows.

    Attributes:
        sounds: Name by hash of the samples; a sound may have several hashes.
        subjects: Label by dataset and label.
        recordings: Label of the subject by hash; a recording may have several hashes.
    """

    sounds: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    recordings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRecord:
    """One training that a model's weights come from.

    Attributes:
        stage: Class of the task, or the name of pretrained components.
        learned: What it learned from.
        trained: What it was trained on.
        validated: What its checkpoints were chosen on.
        data: Name, path and fingerprint of the store, split, conditions and share of the training stimuli.
    """

    stage: str
    learned: Learned
    trained: Material
    validated: Material = field(default_factory=Material)
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint or a ``config.json``."""
        return {
            "stage": self.stage, "learned": self.learned, "trained": asdict(self.trained),
            "validated": asdict(self.validated), "data": dict(self.data),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainingRecord:
        """Read what ``to_dict`` gave.

        Raises:
            KeyError: Something is missing.
        """
        return cls(
            str(content["stage"]), content["learned"], Material(**content["trained"]),
            Material(**content["validated"]), dict(content["data"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What of a list the model has seen before.

    Attributes:
        sounds: Names of sounds that were trained on, where the list is of new sounds.
        subjects: Labels of subjects that were trained on, where the list is of new subjects.
        unlabelled: Labels of subjects or names of sounds whose EEG an earlier stage saw without labels.
        validated: Names and labels that checkpoints were chosen on.
        all_sounds: How many sounds the list has.
        all_subjects: How many subjects the list has.
        stages: The trainings that saw the sounds and subjects.
        unknown: Trainings of which no record says what they were on.
    """

    sounds: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    validated: tuple[str, ...] = ()
    all_sounds: int = 0
    all_subjects: int = 0
    stages: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def trained(self) -> bool:
        """The list is not unseen."""
        return bool(self.sounds or self.subjects)

    @property
    def text(self) -> str:
        """Why the list cannot be called unseen, in words; empty where it can."""
        parts = [
            f"{len(names)} of {total} {what} trained on ({listed(names)})"
            for names, total, what in (
                (self.sounds, self.all_sounds, "sounds"), (self.subjects, self.all_subjects, "subjects"),
            )
            if names
        ]  # fmt: skip
        parts += [f"no record of what {listed(self.unknown)} was trained on"] if self.unknown else []
        return " and ".join(parts)


def read_records(data: Mapping[str, Any], source: str) -> list[TrainingRecord] | None:
    """Records that a checkpoint or an export keeps with what it says of its data; None where it keeps none.

    Raises:
        DataError: They are damaged.
    """
    if KEY not in data:
        return None
    try:
        return [TrainingRecord.from_dict(content) for content in data[KEY]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{source}: damaged record of what it was trained on ({error!r}); train again") from error


def merged(records: Iterable[TrainingRecord]) -> list[TrainingRecord]:
    """Records in their order, each once."""
    kept: list[TrainingRecord] = []
    for record in records:
        if record not in kept:
            kept.append(record)
    return kept


def seen_before(
    records: Sequence[TrainingRecord], split: str, material: Material, learned: Learned, new_subjects: bool = False
) -> Seen:
    """What of a list was trained on.

    Sounds count in lists of new sounds, subjects in lists of new subjects; in validation, sounds unless subjects are
    held out. Where a model learns from pairs, EEG that an earlier stage saw without labels is reported apart: that
    stage saw no pair.

    Args:
        records: Of the model.
        split: Name of the list.
        material: What is in the list.
        learned: What the tested model itself learns from.
        new_subjects: Validation is on subjects that are held out.
    """
    wants_sounds = split in NEW_SOUNDS or (split == "val" and not new_subjects)
    wants_subjects = split in NEW_SUBJECTS or (split == "val" and new_subjects)
    sounds: dict[str, None] = {}
    subjects: dict[str, None] = {}
    unlabelled: dict[str, None] = {}
    validated: dict[str, None] = {}
    stages: dict[str, None] = {}
    for record in records:
        here_sounds = _sounds_in(record.trained, material) if wants_sounds else []
        here_subjects = _subjects_in(record.trained, material) if wants_subjects else []
        if record.learned == "eeg" and learned != "eeg":
            if _subjects_in(record.trained, material):
                unlabelled |= dict.fromkeys([*here_sounds, *here_subjects])
            continue
        sounds |= dict.fromkeys(here_sounds)
        subjects |= dict.fromkeys(here_subjects)
        if here_sounds or here_subjects:
            stages[record.stage] = None
        if split != "val":
            validated |= dict.fromkeys(_sounds_in(record.validated, material) if wants_sounds else [])
            validated |= dict.fromkeys(
                _subjects_in(record.validated, material) if wants_subjects and record.data.get("new_subjects") else []
            )
    return Seen(
        tuple(sorted(sounds)), tuple(sorted(subjects)), tuple(sorted(unlabelled)), tuple(sorted(validated)),
        len(set(material.sounds.values())), len(set(material.subjects.values())), tuple(stages),
        tuple(record.stage for record in records if record.data.get("unknown")),
    )  # fmt: skip


def _sounds_in(trained: Material, material: Material) -> list[str]:
    return [name for digest, name in material.sounds.items() if digest in trained.sounds]


def _subjects_in(trained: Material, material: Material) -> list[str]:
    by_label = [label for key, label in material.subjects.items() if key in trained.subjects]
    by_recording = [label for digest, label in material.recordings.items() if digest in trained.recordings]
    return [*by_label, *by_recording]


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
