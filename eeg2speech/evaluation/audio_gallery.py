"""Real sounds of a split and of training, in the space of the audio encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.audio.mel import level
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import window_labels
from eeg2speech.evaluation.models import SpeechModel
from eeg2speech.metrics.identification import step_embeddings

if TYPE_CHECKING:  # diffusers takes seconds to import
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class AudioGallery:
    """The windows of a split, and its different sounds as tokens of the audio encoder.

    Attributes:
        key: Windows that hold the same sound have the same key, (n,).
        subject: Of each window, (n,).
        stimulus: Of each window, (n,).
        sounds: Keys of the different sounds, ascending, (G,).
        start: Of each sound, in seconds into its stimulus, (G,).
        tokens: Of each sound, (G, L, F, D).
    """

    key: Rows
    subject: Rows
    stimulus: Rows
    sounds: Rows
    start: NDArray[np.float64]
    tokens: Floats

    def spread(self, most: int | None) -> Rows:
        """Indices of all windows, or of ``most`` with as many different sounds as possible, from all subjects in turn.

        Windows that are evenly spread would not do: of several subjects with the same stimuli they hold the same few
        sounds.
        """
        count = len(self.key)
        if most is None or most >= count:
            return np.arange(count)
        sound = np.searchsorted(self.sounds, self.key)
        times = np.bincount(sound)
        order = np.argsort(sound, kind="stable")
        number = np.empty(count, np.int64)  # of each window among those of its sound
        number[order] = np.arange(count) - np.repeat(np.cumsum(times) - times, times)
        turn = (number + sound) % times[sound]
        rounds = np.lexsort((sound, turn))  # every sound once, then every sound that is left once more, and so on
        size = np.bincount(turn)
        whole = int((np.cumsum(size) <= most).sum())
        first = int(size[:whole].sum())
        last = first + np.arange(most - first) * size[whole] // max(most - first, 1)
        return np.sort(np.concatenate([rounds[:first], rounds[last]]))


@dataclass(frozen=True)
class TrainingClips:
    """Real training sounds in the space of the audio encoder.

    Attributes:
        mean: Mean of their tokens, (F, D).
        embedded: Unit vectors, (m, K).
    """

    mean: Floats
    embedded: Floats


def embed_training_clips(task: SpeechModel, data: EEGAudioDataModule, most: int) -> TrainingClips:
    """Embed the different sounds of this many training windows, evenly spread."""
    tokens = embed_gallery(task, data, "train", most).tokens
    mean: Floats = tokens.mean(axis=(0, 1))
    return TrainingClips(mean, step_embeddings(tokens, mean))


def embed_gallery(
    task: SpeechModel, data: EEGAudioDataModule, split: SplitName, most: int | None = None
) -> AudioGallery:
    """Tokens of every different sound of a split.

    Args:
        task: Whose audio encoder.
        data: Whose windows.
        split: Which.
        most: All windows, or this many evenly spread.
    """
    columns: dict[str, list[NDArray[Any]]] = {}
    known: set[int] = set()
    for batch in data.batches(split, most):
        rows = {name: values.numpy() for name, values in window_labels(batch).items()}
        for name, values in rows.items():
            columns.setdefault(name, []).append(values)
        _, first = np.unique(rows["key"], return_index=True)
        new = [index for index in first.tolist() if int(rows["key"][index]) not in known]
        known.update(rows["key"][new].tolist())
        if new:
            tokens = audio_tokens(task.model, batch["audio"][new].to(task.device))
            for name, values in (("sounds", rows["key"][new]), ("begin", rows["start"][new]), ("tokens", tokens)):
                columns.setdefault(name, []).append(values)
    found = {name: np.concatenate(values) for name, values in columns.items()}
    order = np.argsort(found["sounds"])
    ordered = (found[name][order] for name in ("sounds", "begin", "tokens"))
    return AudioGallery(found["key"], found["subject"], found["stimulus"], *ordered)


@torch.no_grad()
def audio_tokens(model: SpeechDiffusion, audio: Tensor) -> Floats:
    """LOA tokens of waveforms, (B, S), at one level, since the level of generated ones is arbitrary, (B, L, F, D)."""
    tokens: Floats = model.loa_of_sound(level(audio)).float().cpu().numpy()
    return tokens
