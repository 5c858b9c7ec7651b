"""Embeddings of a split, and of controls: EEG without information about the sound, or an untrained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.models import BatchEmbedder, batch_embedder, on_device
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.metrics import Embeddings
from eeg2speech.metrics.geometry import linear_cka
from eeg2speech.metrics.surrogates import SubjectMean, another_trial, noise, phase_randomised, zeros
from eeg2speech.models import Aligner
from eeg2speech.tasks.alignment import SAME, AlignmentTask, sound_keys

ReplaceEEG = Callable[[Batch], Tensor]
"""Gives other EEG, (B, C, T), for that of a batch."""
_SURROGATE = 0x73757272  # key of the surrogates' random numbers
_TRAINING = 2000  # training windows that the mean window of each subject is taken from


@torch.no_grad()
def embed_split(
    model: AlignmentTask | AlignmentModel | BatchEmbedder,
    data: EEGAudioDataModule,
    split: SplitName,
    replace: ReplaceEEG | None = None,
    sound: NDArray[np.float32] | None = None,
    lag: float | None = None,
    most: int | None = None,
) -> Embeddings:
    """Embed the windows of a split.

    Args:
        model: Trained; it is put into evaluation mode.
        data: Whose windows.
        split: Which.
        replace: Gives the EEG that is embedded instead.
        sound: Embeddings of the sounds where they are computed already, (n, K).
        lag: How much later than the sound the EEG is read, in seconds; unset: as in training.
        most: All windows, or this many evenly spread.
    """
    embedder = batch_embedder(model, data)
    found: dict[str, list[NDArray[np.generic]]] = {}
    for batch in data.batches(split, most, lag):
        if replace is not None:
            batch["eeg"] = replace(batch)
        moved = on_device(batch, embedder.device)
        rows = {"eeg": embedder.embed_eeg(moved)}
        if sound is None:
            rows["sound"] = embedder.aligner.embed_sound(moved["audio"])
        for name, values in (rows | window_labels(batch)).items():
            found.setdefault(name, []).append(values.cpu().numpy())
    joined = {name: np.concatenate(values) for name, values in found.items()}
    if sound is not None:
        joined["sound"] = sound
    return Embeddings(**joined)


def window_labels(batch: Batch) -> dict[str, Tensor]:
    """Columns of ``Embeddings`` beside the vectors: key of the sound, subject, stimulus and start, (B,) each."""
    start = (batch["sound_start"] / SAME).round() * SAME
    return {"key": sound_keys(batch), "subject": batch["subject"], "stimulus": batch["stimulus"], "start": start}


def replacements(data: EEGAudioDataModule) -> Mapping[str, ReplaceEEG | None]:
    """EEG without information about the sound, by the id of the control; None stands for that of another trial."""
    of_subject = SubjectMean(data.batches("train", _TRAINING))
    return {
        "noise": lambda batch: noise(batch["eeg"], batch["channel_mask"], _seeds(batch)),
        "phase_randomised": lambda batch: phase_randomised(batch["eeg"], batch["channel_mask"], _seeds(batch)),
        "another_trial": None,
        "zeros": lambda batch: zeros(batch["eeg"]),
        "subject_only": lambda batch: of_subject(batch["eeg"], batch["channel_mask"], batch["subject"]),
    }


def embed_control(
    model: AlignmentTask | AlignmentModel | BatchEmbedder,
    data: EEGAudioDataModule,
    split: SplitName,
    embeddings: Embeddings,
    replace: ReplaceEEG | None,
) -> Embeddings:
    """Embed a split with other EEG.

    Args:
        model: Trained.
        data: Whose windows.
        split: Which.
        embeddings: Of the split with its own EEG.
        replace: Gives the other EEG; None: that of another trial of the same subject, for the windows that have one.
    """
    if replace is not None:
        return embed_split(model, data, split, replace, embeddings.sound)
    other, moved = another_trial(embeddings.subject, embeddings.stimulus)
    return Embeddings(
        embeddings.eeg[other][moved],
        *(getattr(embeddings, name)[moved] for name in ("sound", "key", "subject", "stimulus", "start")),
    )


@torch.no_grad()
def untrained(embedder: BatchEmbedder) -> BatchEmbedder:
    """The same model with random weights on the side of the EEG; the side of the sound is kept."""
    trained = embedder.aligner
    torch.manual_seed(mix(0, 2))
    encoder = type(trained.encoder)(**trained.encoder.config)
    aligner = Aligner(encoder, trained.audio, **trained.config).to(embedder.device)
    aligner.sound_head, aligner.flattening = trained.sound_head, trained.flattening
    if aligner.subject_layer is not None and trained.subject_layer is not None:
        aligner.subject_layer.known.copy_(trained.subject_layer.known)
    aligner.whitening = trained.whitening
    return BatchEmbedder(aligner.eval(), embedder.places)


@torch.no_grad()
def audio_block_cka(
    embedder: BatchEmbedder, data: EEGAudioDataModule, split: SplitName, most: int = 128
) -> list[float]:
    """Similarity (CKA) of the EEG embeddings of a split with each block of the audio encoder, the first block first.

    Args:
        embedder: Of the model.
        data: Whose windows.
        split: Which.
        most: Windows used, evenly spread.
    """
    eeg: list[NDArray[np.float32]] = []
    blocks: list[list[NDArray[np.float32]]] = []
    for batch in data.batches(split, most):
        moved = on_device(batch, embedder.device)
        eeg.append(embedder.embed_eeg(moved).cpu().numpy())
        outputs = embedder.aligner.audio.each_block(moved["audio"])
        blocks.append([out.mean(2).flatten(1).float().cpu().numpy() for out in outputs])
    rows = np.concatenate(eeg)
    return [linear_cka(rows, np.concatenate(block)) for block in zip(*blocks, strict=True)]


def shuffling_groups(
    key: NDArray[np.int64], subject: NDArray[np.int64], stimulus: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Group of each window within which permutations shuffle sounds, (n,): its stimulus.

    Where every stimulus is a single sound, as with words and phonemes, a group is all sounds that the same subjects
    were presented: across such groups, a difference between speakers or sessions would count as speech information.

    Args:
        key: Of the sound of each window, (n,).
        subject: Of each window, (n,).
        stimulus: Of each window, (n,).
    """
    subjects: dict[int, tuple[int, ...]] = {}
    for number in np.unique(stimulus).tolist():
        here = stimulus == number
        if len(np.unique(key[here])) > 1:
            return stimulus
        subjects[number] = tuple(np.unique(subject[here]).tolist())
    group = {who: index for index, who in enumerate(sorted(set(subjects.values())))}
    return np.array([group[subjects[number]] for number in stimulus.tolist()], dtype=np.int64)


def _seeds(batch: Batch) -> list[int]:
    return [mix(_SURROGATE, index) for index in batch["index"].tolist()]
