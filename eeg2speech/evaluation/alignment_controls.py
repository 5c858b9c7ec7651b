"""Windows of a test list in the model's space: as they are, and with EEG in place that cannot know the sound."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics import Embeddings
from eeg2speech.metrics.geometry import linear_cka
from eeg2speech.metrics.surrogates import SubjectMean, another_trial, noise, phase_randomised, zeros
from eeg2speech.models import Aligner
from eeg2speech.tasks.alignment import SAME, AlignmentTask, sound_keys

Change = Callable[[Batch], Tensor]
"""Puts other EEG, (B, C, T), in the place of a batch's."""
_SURROGATE = 0x73757272  # key of the surrogates' random numbers
_TRAINING = 2000  # training windows that a subject's mean window is taken from


@torch.no_grad()
def embed_split(
    task: AlignmentTask,
    data: EEGAudioDataModule,
    split: SplitName,
    change: Change | None = None,
    sound: NDArray[np.float32] | None = None,
    lag: float | None = None,
    most: int | None = None,
) -> Embeddings:
    """Embed the windows of a list.

    Args:
        task: Whose model.
        data: Whose windows.
        split: Which list.
        change: Makes the EEG that is used instead.
        sound: Embeddings of the sounds where they are known already, (n, K).
        lag: How much later than the sound the EEG is read, in seconds; unset: as in training.
        most: All, or this many windows evenly spread.
    """
    found: dict[str, list[NDArray[np.generic]]] = {}
    for batch in data.batches(split, most, lag):
        if change is not None:
            batch["eeg"] = change(batch)
        on_device = cast(Batch, {key: value.to(task.device) for key, value in cast(dict[str, Tensor], batch).items()})
        rows = {"eeg": task.embed_eeg(on_device)}
        if sound is None:
            rows["sound"] = task.aligner.embed_sound(on_device["audio"])
        for name, values in (rows | facts(batch)).items():
            found.setdefault(name, []).append(values.cpu().numpy())
    joined = {name: np.concatenate(values) for name, values in found.items()}
    if sound is not None:
        joined["sound"] = sound
    return Embeddings(**joined)


def facts(batch: Batch) -> dict[str, Tensor]:
    """What has to be known of windows beside their embeddings, (B,) each."""
    start = (batch["sound_start"] / SAME).round() * SAME
    return {"key": sound_keys(batch), "subject": batch["subject"], "stimulus": batch["stimulus"], "start": start}


def replaced(
    task: AlignmentTask, data: EEGAudioDataModule, split: SplitName, model: Embeddings, change: Change | None
) -> Embeddings:
    """Embeddings of a list with other EEG, or, without ``change``, with that of another trial of the same subject."""
    if change is not None:
        return embed_split(task, data, split, change, model.sound)
    other, moved = another_trial(model.subject, model.stimulus)
    return Embeddings(
        model.eeg[other][moved],
        *(getattr(model, name)[moved] for name in ("sound", "key", "subject", "stimulus", "start")),
    )


def controls(data: EEGAudioDataModule) -> Mapping[str, Change | None]:
    """EEG that cannot know the sound, by name; None stands for that of another trial."""
    of_subject = SubjectMean(data.batches("train", _TRAINING))
    return {
        "noise": lambda batch: noise(batch["eeg"], batch["channel_mask"], _seeds(batch)),
        "phase-randomised": lambda batch: phase_randomised(batch["eeg"], batch["channel_mask"], _seeds(batch)),
        "another trial": None,
        "zeros": lambda batch: zeros(batch["eeg"]),
        "subject only": lambda batch: of_subject(batch["eeg"], batch["channel_mask"], batch["subject"]),
    }


@torch.no_grad()
def block_cka(task: AlignmentTask, data: EEGAudioDataModule, split: SplitName, most: int = 128) -> list[float]:
    """How much the embedded EEG of a list resembles each block of the audio encoder, the first block first.

    Args:
        task: Whose model.
        data: Whose windows.
        split: Which list.
        most: Windows that are looked at, evenly spread.
    """
    eeg: list[NDArray[np.float32]] = []
    blocks: list[list[NDArray[np.float32]]] = []
    for batch in data.batches(split, most):
        on_device: Batch = {key: value.to(task.device) for key, value in batch.items()}  # type: ignore
        eeg.append(task.embed_eeg(on_device).cpu().numpy())
        outputs = task.aligner.audio.each_block(on_device["audio"])
        blocks.append([out.mean(2).flatten(1).float().cpu().numpy() for out in outputs])
    rows = np.concatenate(eeg)
    return [linear_cka(rows, np.concatenate(block)) for block in zip(*blocks, strict=True)]


def shuffled_within(model: Embeddings) -> NDArray[np.int64]:
    """Within which group of windows sounds may be shuffled, (n,): their story.

    Where every story is a single sound, as with words and phonemes, it is all sounds that the same people heard: across
    them a speaker or a session would count as speech that was understood.
    """
    listeners: dict[int, tuple[int, ...]] = {}
    for stimulus in np.unique(model.stimulus).tolist():
        here = model.stimulus == stimulus
        if len(np.unique(model.key[here])) > 1:
            return model.stimulus
        listeners[stimulus] = tuple(np.unique(model.subject[here]).tolist())
    number = {who: index for index, who in enumerate(sorted(set(listeners.values())))}
    return np.array([number[listeners[stimulus]] for stimulus in model.stimulus.tolist()], dtype=np.int64)


def untrained(task: AlignmentTask) -> AlignmentTask:
    """The same task with an EEG side that starts anew; the sound's side is kept."""
    fresh = copy.copy(task)
    fresh._modules = dict(task._modules)
    torch.manual_seed(mix(0, 2))
    aligner = Aligner(type(task.encoder)(**task.encoder.config), task.aligner.audio, **task.aligner.config).to(
        task.device
    )
    aligner.sound_head = task.aligner.sound_head
    if aligner.subject_layer is not None and task.aligner.subject_layer is not None:
        aligner.subject_layer.known.copy_(task.aligner.subject_layer.known)
    aligner.whitening = task.aligner.whitening
    fresh.aligner = aligner.eval()
    return fresh


def _seeds(batch: Batch) -> list[int]:
    return [mix(_SURROGATE, index) for index in batch["index"].tolist()]
