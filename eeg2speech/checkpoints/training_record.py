"""Records of what a model was trained on, and their overlap with a split that it is tested on.

A model keeps a record of every training that its weights come from: its own, those of the encoders it started from, and
those of pretrained components. Sounds are compared by the hash of their samples, subjects by dataset and label and by
the hash of their recordings, so that renamed data is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from eeg2speech.core.errors import DataError

Learned = Literal["eeg", "sound", "pairs"]
"""Data of a training: EEG without labels, sound without EEG, or pairs of both."""
NEW_SOUNDS = ("unseen_stimulus", "unseen_both")
"""Test splits whose sounds must not have been trained on."""
NEW_SUBJECTS = ("unseen_subject", "unseen_both")
"""Test splits whose subjects must not have been trained on."""
KEY = "training_records"
"""Key of the records in the ``data`` of a checkpoint or an export."""
UNJUDGED = "not judged, as the split is not unseen"
"""The verdict on a split that was trained on."""
_NAMED = 5  # sounds or subjects in a message


@dataclass(frozen=True)
class Material:
    """Sounds, subjects and recordings of a split.

    Attributes:
        sounds: Names of sounds by the hash of their samples; a sound may have several hashes.
        subjects: Labels of subjects by dataset and label.
        recordings: Labels of subjects by the hash of a recording; a recording may have several hashes.
    """

    sounds: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    recordings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRecord:
    """One training that a model's weights come from.

    Attributes:
        stage: Class of the task, or the name of pretrained components.
        learned: Kind of data that it learned from.
        trained: Content of the training split.
        validated: Content of the validation split, on which checkpoints were chosen.
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
        """The inverse of ``to_dict``.

        Raises:
            KeyError: A key is missing.
        """
        return cls(
            str(content["stage"]), content["learned"], Material(**content["trained"]),
            Material(**content["validated"]), dict(content["data"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Overlap:
    """What of a split the weights of a model were trained on.

    Attributes:
        sounds: Names of sounds that were trained on, in a split of new sounds.
        subjects: Labels of subjects that were trained on, in a split of new subjects.
        unlabelled: Labels of subjects and names of sounds whose EEG an earlier stage was trained on, without labels.
        validated: Names and labels that checkpoints were chosen on.
        all_sounds: Number of sounds in the split.
        all_subjects: Number of subjects in the split.
        stages: Trainings on these sounds and subjects.
        unknown: Trainings on unknown data.
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
        """Whether the split is not unseen."""
        return bool(self.sounds or self.subjects)

    @property
    def text(self) -> str:
        """Why the split cannot be called unseen, in words; empty if it is unseen."""
        parts = [
            f"{len(names)} of {total} {what} trained on ({join_names(names)})"
            for names, total, what in (
                (self.sounds, self.all_sounds, "sounds"), (self.subjects, self.all_subjects, "subjects"),
            )
            if names
        ]  # fmt: skip
        parts += [f"no record of what {join_names(self.unknown)} was trained on"] if self.unknown else []
        return " and ".join(parts)


def read_records(data: Mapping[str, Any], source: str) -> list[TrainingRecord] | None:
    """Training records in the ``data`` of a checkpoint or an export; None if there are none.

    Args:
        data: From ``read_data``.
        source: Where it comes from, for error messages.

    Raises:
        DataError: The records are damaged.
    """
    if KEY not in data:
        return None
    try:
        return [TrainingRecord.from_dict(content) for content in data[KEY]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{source}: damaged record of what it was trained on ({error!r}); train again") from error


def merged(records: Iterable[TrainingRecord]) -> list[TrainingRecord]:
    """Records in their order, without duplicates."""
    kept: list[TrainingRecord] = []
    for record in records:
        if record not in kept:
            kept.append(record)
    return kept


def overlap_with_training(
    records: Sequence[TrainingRecord], split: str, material: Material, learned: Learned, new_subjects: bool = False
) -> Overlap:
    """Compare a split with the trainings of a model.

    Sounds are compared in splits of new sounds, subjects in splits of new subjects. In validation, sounds are compared
    unless subjects are held out. If a model is trained on pairs, EEG that an earlier stage was trained on without
    labels is reported separately, because that stage used no pairs.

    Args:
        records: Trainings of the model.
        split: Name of the split.
        material: Content of the split.
        learned: Kind of data that the tested model itself is trained on.
        new_subjects: The validation split has held-out subjects.
    """
    by_sound = split in NEW_SOUNDS or (split == "val" and not new_subjects)
    by_subject = split in NEW_SUBJECTS or (split == "val" and new_subjects)
    sounds: set[str] = set()
    subjects: set[str] = set()
    unlabelled: set[str] = set()
    validated: set[str] = set()
    stages: dict[str, None] = {}  # a set in order
    for record in records:
        known_sounds = _sounds_in(record.trained, material) if by_sound else []
        known_subjects = _subjects_in(record.trained, material) if by_subject else []
        if record.learned == "eeg" and learned != "eeg":
            if _subjects_in(record.trained, material):
                unlabelled.update(known_sounds, known_subjects)
            continue
        sounds.update(known_sounds)
        subjects.update(known_subjects)
        if known_sounds or known_subjects:
            stages[record.stage] = None
        if split != "val" and by_sound:
            validated.update(_sounds_in(record.validated, material))
        if split != "val" and by_subject and record.data.get("new_subjects"):
            validated.update(_subjects_in(record.validated, material))
    return Overlap(
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


def join_names(names: Sequence[str]) -> str:
    """The first names of a list, and the number of further ones."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
