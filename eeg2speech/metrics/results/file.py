"""The results file: what was tested, and the results of every stage; written, read and validated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eeg2speech.checkpoints.training_record import Learned, Overlap
from eeg2speech.core.decoding import FieldError, decode
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import to_jsonable, written_beside
from eeg2speech.metrics.results.alignment import AlignmentResult
from eeg2speech.metrics.results.reconstruction import ProbedTarget, ReconstructionResult
from eeg2speech.metrics.results.speech import SpeechResult

VERSION = 2
"""Of the schema. It rises when a key is removed, renamed or changes its meaning; a new optional key leaves it."""
RESULTS_FILE, UNTRAINED_FILE = "test.json", "test.untrained.json"
"""Files in a run's folder: results of a test, and those of a model that was not trained."""


@dataclass(frozen=True)
class EvaluatedCheckpoint:
    """The weights that were tested.

    Attributes:
        path: Of the checkpoint; None where a program trained and tested in one process.
        sha256: Of the file, in hexadecimal digits; None without a file.
        step: Optimizer steps of the weights.
    """

    path: str | None
    sha256: str | None
    step: int


@dataclass(frozen=True)
class EvaluatedData:
    """The store that was tested on, and what defines its splits.

    Attributes:
        name: Of the dataset.
        simulated: The EEG is simulated.
        store: Path of the store.
        fingerprint: Of the store.
        split: Settings of the split (``data.split``).
        conditions: Conditions that windows are taken from; None for all.
        windows: Number of windows by split, those for training and validation included.
    """

    name: str
    simulated: bool
    store: str
    fingerprint: str
    split: dict[str, Any]
    conditions: list[str] | None
    windows: dict[str, int]


@dataclass(frozen=True)
class TrainingSummary:
    """One training that the weights come from, in short; the checkpoint holds the whole record.

    Attributes:
        stage: Class of the task, or the name of pretrained components.
        learned: What it learned from: ``eeg``, ``sound`` or ``pairs``.
        sounds: Number of sounds that were trained on.
        subjects: Labels of the subjects that were trained on.
        name: Of the dataset; this and the following are None where the record does not have them.
        store: Path of the store.
        fingerprint: Of the store.
        split: Settings of the split.
        conditions: Conditions that windows were taken from.
    """

    stage: str
    learned: Learned
    sounds: int
    subjects: list[str]
    name: str | None = None
    store: str | None = None
    fingerprint: str | None = None
    split: dict[str, Any] | None = None
    conditions: list[str] | None = None


@dataclass(frozen=True)
class SeenSplits:
    """What of the test splits the weights were trained on.

    Attributes:
        splits: By name of the split; empty where a program's own data could not be compared.
        notes: Remarks for a reader, such as EEG that an earlier stage used without labels.
    """

    splits: dict[str, Overlap] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def text(self, split: str) -> str:
        """What of a split was trained on, in words; empty where nothing was."""
        return self.splits[split].text if split in self.splits else ""


@dataclass(frozen=True)
class Results:
    """All results of one test.

    Attributes:
        version: Of this schema.
        eeg2speech: Version of the package that tested.
        stage: Class of the task: ``MAEEGTask``, ``AudioMAETask``, ``AlignmentTask`` or ``DiffusionTask``.
        checkpoint: The weights that were tested.
        metrics: Means over test splits by log key, such as ``test/unseen_stimulus/loss``.
        data: The data that were tested on; None for a program's own data module.
        trained_on: The trainings that the weights come from; None where no record exists.
        seen: What of the splits was trained on; None where it was not compared.
        reconstruction: Stage 1, where ``CompareBaselines`` ran.
        probes: Probes of the encoder by target, ``subject`` and ``label``, where ``ProbeEncoder`` ran.
        alignment: Stage 2, where ``EvaluateAlignment`` ran.
        speech: Stage 3, where ``EvaluateSpeech`` ran.
    """

    version: int
    eeg2speech: str
    stage: str
    checkpoint: EvaluatedCheckpoint
    metrics: dict[str, float] = field(default_factory=dict)
    data: EvaluatedData | None = None
    trained_on: list[TrainingSummary] | None = None
    seen: SeenSplits | None = None
    reconstruction: ReconstructionResult | None = None
    probes: dict[str, ProbedTarget] | None = None
    alignment: AlignmentResult | None = None
    speech: SpeechResult | None = None

    @property
    def simulated(self) -> bool:
        """The EEG is known to be simulated."""
        return self.data is not None and self.data.simulated

    @property
    def compared(self) -> ReconstructionResult | AlignmentResult | SpeechResult | None:
        """The result with a verdict; None if the test made no comparison."""
        return self.speech or self.alignment or self.reconstruction

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; None stands for numbers that are not finite."""
        content: dict[str, Any] = to_jsonable(self)
        return content

    @classmethod
    def from_json(cls, content: Any, source: str = "results") -> Results:
        """Read plain values; keys that this version does not have are ignored.

        Args:
            content: From ``to_json``.
            source: Where it comes from, for messages.

        Raises:
            DataError: It is of another version, or a key is missing or has a value of another type.
        """
        if not isinstance(content, Mapping):
            raise DataError(f"{source}: holds no JSON object; test the checkpoint again (eeg2speech test)")
        if content.get("version") != VERSION:
            found = repr(content["version"]) if "version" in content else "none"
            raise DataError(
                f"{source}: version of the results is {found}, this eeg2speech reads {VERSION}; test the checkpoint "
                "again (eeg2speech test)"
            )
        try:
            results: Results = decode(cls, content)
            return results
        except FieldError as error:
            again = "test the checkpoint again (eeg2speech test)"
            raise DataError(f"{source}: damaged results, {error}; {again}") from error


def write_results(file: Path, results: Results) -> None:
    """Write a ``test.json``, beside the file and then renamed.

    Args:
        file: To write.
        results: Its content.
    """
    with written_beside(file) as partial:
        text = json.dumps(results.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def read_results(file: Path) -> Results:
    """Read a ``test.json``.

    Args:
        file: That ``write_results`` wrote.

    Raises:
        DataError: It cannot be read, is damaged or is of another version.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: damaged JSON ({error}); test the checkpoint again (eeg2speech test)") from error
    return Results.from_json(content, str(file))
