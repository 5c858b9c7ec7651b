"""What can be evaluated: a task, or a model loaded from an export or a checkpoint, on the windows of a data module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from eeg2speech.checkpoints.training_record import Learned, read_records
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.inference.encoders import EEGEncoder
from eeg2speech.inference.generator import SpeechGenerator
from eeg2speech.metrics.results import SeenSplits
from eeg2speech.models import Aligner
from eeg2speech.tasks import Task
from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.tasks.provenance import compare_with_training
from eeg2speech.tasks.training_data import DataInfo

if TYPE_CHECKING:  # diffusers takes seconds to import, which no other stage should wait for
    from eeg2speech.models.audioldm2.condition import Condition
    from eeg2speech.models.audioldm2.sampling import Sampler
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion
    from eeg2speech.tasks.diffusion import DiffusionTask

Trained = AlignmentModel | EEGEncoder | SpeechGenerator
"""A model that was loaded, which has a record of its training data."""


@dataclass(frozen=True)
class BatchEmbedder:
    """An aligner for the batches of one data module.

    Attributes:
        aligner: In evaluation mode.
        places: Place of each subject of the data in the aligner, -1 for one it was not trained on, (subjects,).
    """

    aligner: Aligner
    places: Tensor

    @property
    def device(self) -> torch.device:
        """Where the aligner computes."""
        return next(self.aligner.parameters()).device

    def embed_eeg(self, batch: Batch) -> Tensor:
        """Unit vectors of the EEG of a batch on ``device``, (B, K)."""
        return self.aligner.embed_eeg(*_eeg_arguments(batch, self.places))


class SpeechModel(Protocol):
    """What an evaluation of generated speech needs of a model; ``DiffusionTask`` is one."""

    @property
    def model(self) -> SpeechDiffusion:
        """The network."""

    @property
    def sampler(self) -> Sampler:
        """How clips are drawn."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def condition_of(self, batch: Batch) -> Condition:
        """What speech is generated from, by the EEG of a batch."""

    def regress(self, batch: Batch) -> Tensor:
        """Waveforms of the linear mel regression from the EEG of a batch, (B, S)."""

    def generate(
        self, condition: Condition | None, seeds: Sequence[int], steps: int, start: float | None = None
    ) -> Tensor:
        """Waveforms, with a condition or without, by one seed each, (B, S); ``start`` replaces that of the sampler."""


@dataclass(frozen=True)
class _LoadedSpeechModel:
    model: SpeechDiffusion
    sampler: Sampler
    device: torch.device
    places: Tensor

    def condition_of(self, batch: Batch) -> Condition:
        return self.model.condition(self._steps_of(batch))

    def regress(self, batch: Batch) -> Tensor:
        return self.model.vocode(self.model.mel_of_steps(self._steps_of(batch)))

    def generate(
        self, condition: Condition | None, seeds: Sequence[int], steps: int, start: float | None = None
    ) -> Tensor:
        sampler = self.sampler if start is None else replace(self.sampler, start=start)
        return self.model.waveform(sampler.sample(self.model, condition, steps, seeds))

    def _steps_of(self, batch: Batch) -> Tensor:
        return self.model.eeg_steps(*_eeg_arguments(batch, self.places))


def batch_embedder(model: AlignmentTask | AlignmentModel | BatchEmbedder, data: EEGAudioDataModule) -> BatchEmbedder:
    """The aligner of a model for the batches of ``data``; it is put into evaluation mode."""
    if isinstance(model, BatchEmbedder):
        return model
    subjects = model.subjects if isinstance(model, AlignmentTask) else model.training_data.subjects
    return BatchEmbedder(model.aligner.eval(), _places(subjects, data))


def speech_model(model: DiffusionTask | SpeechGenerator, data: EEGAudioDataModule) -> SpeechModel:
    """A generator for the batches of ``data``; it is put into evaluation mode."""
    if isinstance(model, SpeechGenerator):
        places = _places(model.training_data.subjects, data)
        return _LoadedSpeechModel(model.model.eval(), model.sampler, torch.device(model.device), places)
    model.eval()
    model.locate_subjects(DataInfo(data))
    return model


def check_splits(model: Task | Trained, data: EEGAudioDataModule) -> SeenSplits:
    """What of the test splits a model was trained on, by its records.

    Args:
        model: Whose weights.
        data: Whose test splits; with ``data.allow_seen`` a split that is not unseen is no error.

    Raises:
        ConfigError: There is no test split, a split is not unseen, there is no record of what was trained on, or the
            windows are not as in training.
    """
    if not data.test_splits:
        raise ConfigError("the data module has no test split: call data.setup('test') first, or change data.split")
    if isinstance(model, Task):
        return compare_with_training(model.training_records, data, data.test_splits, model.learned)
    for name in ("window", "lag"):
        given, trained = getattr(data, name), getattr(model.training_data, name)
        if abs(given - trained) > 1e-6:
            raise ConfigError(f"data.{name}={given:g} s, but the model was trained with {name}={trained:g} s")
    records = read_records(model.training_data.record, str(model.source))
    learned: Learned = records[-1].learned if records else "pairs"
    return compare_with_training(records, data, data.test_splits, learned)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """A copy of a batch on a device."""
    moved: Any = {name: values.to(device) for name, values in batch.items()}  # type: ignore[attr-defined]
    result: Batch = moved
    return result


def _places(subjects: Sequence[str], data: EEGAudioDataModule) -> Tensor:
    place = {label: number for number, label in enumerate(subjects)}
    return torch.tensor([place.get(label, -1) for label in data.subject_names])


def _eeg_arguments(batch: Batch, places: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """EEG, positions, channels that exist (None for all) and places of the subjects."""
    mask = batch["channel_mask"]
    return (
        batch["eeg"],
        batch["positions"],
        None if bool(mask.all()) else mask,
        places.to(mask.device)[batch["subject"]],
    )
