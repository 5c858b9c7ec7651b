"""Real sounds of a split and of training, in the spaces of the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import window_labels
from eeg2speech.evaluation.judge import ENCODER, SPACES, AudioJudge, Floats
from eeg2speech.metrics.identification import step_embeddings

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class AudioGallery:
    """The windows of a split, and its different sounds as tokens of the judge.

    Attributes:
        key: Windows that hold the same sound have the same key, (n,).
        subject: Of each window, (n,).
        stimulus: Of each window, (n,).
        sounds: Keys of the different sounds, ascending, (G,).
        start: Of each sound, in seconds into its stimulus, (G,).
        tokens: Of each sound by space, (G, L, F, D).
    """

    key: Rows
    subject: Rows
    stimulus: Rows
    sounds: Rows
    start: NDArray[np.float64]
    tokens: dict[str, Floats]

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
    """Real training sounds in the spaces of the judge.

    Attributes:
        mean: Mean of their tokens by space, (F, D).
        embedded: Unit vectors in the space of the audio encoder, (m, K).
    """

    mean: dict[str, Floats]
    embedded: Floats


def embed_training_clips(judge: AudioJudge, data: EEGAudioDataModule, most: int) -> TrainingClips:
    """Embed the different sounds of this many training windows, evenly spread."""
    tokens = embed_gallery(judge, data, "train", most).tokens
    mean = {space: values.mean(axis=(0, 1)) for space, values in tokens.items()}
    return TrainingClips(mean, step_embeddings(tokens[ENCODER], mean[ENCODER]))


def embed_gallery(
    judge: AudioJudge, data: EEGAudioDataModule, split: SplitName, most: int | None = None
) -> AudioGallery:
    """Tokens of every different sound of a split.

    Args:
        judge: Computes them.
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
            tokens = judge.tokens(batch["audio"][new])
            for name, values in {"sounds": rows["key"][new], "begin": rows["start"][new], **tokens}.items():
                columns.setdefault(name, []).append(values)
    found = {name: np.concatenate(values) for name, values in columns.items()}
    order = np.argsort(found["sounds"])
    tokens = {space: found[space][order] for space in SPACES}
    return AudioGallery(
        found["key"], found["subject"], found["stimulus"], found["sounds"][order], found["begin"][order], tokens
    )
