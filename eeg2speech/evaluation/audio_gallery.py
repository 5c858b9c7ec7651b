"""Real sounds, and how generated ones compare with them in the space of the audio encoder."""

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
from eeg2speech.evaluation.alignment_controls import facts

if TYPE_CHECKING:
    from eeg2speech.tasks.diffusion import DiffusionTask

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AudioGallery:
    """The windows of a list, and its different sounds as the audio encoder hears them.

    Attributes:
        key: Windows that hold the same sound have the same key, (n,).
        subject: Of each window, (n,).
        stimulus: Of each window, (n,).
        sounds: Keys of the different sounds, ascending, (G,).
        start: Of each sound, in seconds into its stimulus, (G,).
        tokens: Of each sound, (G, L, F, D).
    """

    key: NDArray[np.int64]
    subject: NDArray[np.int64]
    stimulus: NDArray[np.int64]
    sounds: NDArray[np.int64]
    start: NDArray[np.float64]
    tokens: Floats

    def spread(self, most: int | None) -> NDArray[np.int64]:
        """Indices of all windows, or of ``most`` that hold as many different sounds as can be, by all people in turn.

        Evenly spread ones would not do: of several people who heard the same they take the same few sounds.
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


@torch.no_grad()
def audio_tokens(task: DiffusionTask, audio: Tensor) -> Floats:
    """LOA tokens of waveforms, (B, S), at the same loudness: generated ones have none of their own, (B, L, F, D)."""
    tokens: Floats = task.model.loa_of_sound(level(audio)).float().cpu().numpy()
    return tokens


def embed_gallery(
    task: DiffusionTask, data: EEGAudioDataModule, split: SplitName, most: int | None = None
) -> AudioGallery:
    """Hear every different sound of a list once.

    Args:
        task: Whose audio encoder.
        data: Whose windows.
        split: Which list.
        most: All windows, or this many evenly spread.
    """
    columns: dict[str, list[NDArray[Any]]] = {}
    known: set[int] = set()
    for batch in data.batches(split, most):
        rows = {name: values.numpy() for name, values in facts(batch).items()}
        for name, values in rows.items():
            columns.setdefault(name, []).append(values)
        _, first = np.unique(rows["key"], return_index=True)
        new = [index for index in first.tolist() if int(rows["key"][index]) not in known]
        known.update(rows["key"][new].tolist())
        if new:
            heard = audio_tokens(task, batch["audio"][new].to(task.device))
            for name, values in (("sounds", rows["key"][new]), ("begin", rows["start"][new]), ("tokens", heard)):
                columns.setdefault(name, []).append(values)
    found = {name: np.concatenate(values) for name, values in columns.items()}
    order = np.argsort(found["sounds"])
    ordered = (found[name][order] for name in ("sounds", "begin", "tokens"))
    return AudioGallery(found["key"], found["subject"], found["stimulus"], *ordered)
