"""Samples speech of a list of windows by every arm, and keeps what is asked of it instead of the sound itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray

from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.audio_gallery import AudioGallery, Floats, audio_tokens, embed_gallery
from eeg2speech.evaluation.speech_variants import ARMS, SAMPLED, Rows, evenly, generate_variants, read_windows
from eeg2speech.metrics.frechet import clip_embeddings
from eeg2speech.metrics.identification import nearest_training, step_embeddings
from eeg2speech.metrics.speech import speech_figures
from eeg2speech.metrics.surrogates import another_trial
from eeg2speech.metrics.word_error import Transcriber, word_error_rates

if TYPE_CHECKING:
    from eeg2speech.tasks.diffusion import DiffusionTask

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainingClips:
    """Real training sounds in the space of the audio encoder.

    Attributes:
        mean: Of their tokens, (F, D): what all speech has in common.
        embedded: Unit vectors, (m, K).
    """

    mean: Floats
    embedded: Floats


@dataclass(frozen=True)
class GeneratedClips:
    """What an arm made of n windows.

    Attributes:
        similarity: With every sound of the list, (n, G).
        nearest: Similarity with the nearest training sound, (n,).
        voice: Mean of the tokens of each clip, (n, D).
        figures: Quality against the recording, by name, (n,); the recording itself has none.
        waves: The clips that were to be kept, (S,), by their place among the windows.
    """

    similarity: Floats
    nearest: NDArray[np.floating[Any]]
    voice: NDArray[np.float64]
    figures: dict[str, NDArray[np.float64]]
    waves: dict[int, Floats]


@dataclass(frozen=True)
class GeneratedSplit:
    """What all arms made of windows of a list.

    Attributes:
        rows: Index of each window in the list, (n,).
        moved: Whether a window's other trial is one of another sound, (n,); where not, that arm does not count.
        heard: The list's windows and real sounds.
        nearest: Similarity of these sounds with the nearest training sound, (G,).
        kept: Places among ``rows`` whose waveforms are kept.
        arms: By name.
    """

    rows: Rows
    moved: NDArray[np.bool_]
    heard: AudioGallery
    nearest: NDArray[np.floating[Any]]
    kept: Rows
    arms: dict[str, GeneratedClips]


def embed_training_clips(task: DiffusionTask, data: EEGAudioDataModule, most: int) -> TrainingClips:
    """Hear the different sounds of this many training windows, evenly spread."""
    tokens = embed_gallery(task, data, "train", most).tokens
    mean: Floats = tokens.mean(axis=(0, 1))
    return TrainingClips(mean, step_embeddings(tokens, mean))


def generate_split(
    trainer: pl.Trainer,
    task: DiffusionTask,
    data: EEGAudioDataModule,
    split: SplitName,
    training: TrainingClips,
    windows: int | None,
    examples: int,
    batch: int,
    advance: Callable[[int], None],
    transcribe: Transcriber | None = None,
) -> GeneratedSplit:
    """Sample windows of a list by every arm; several devices share the windows, and each knows all results.

    Args:
        trainer: Knows the devices.
        task: Whose model.
        data: Whose windows.
        split: Which list.
        training: Sounds that clips might be remembered from.
        windows: All, or this many, of as many different sounds as can be.
        examples: How many of them have their waveforms kept.
        batch: Clips that a device samples at once.
        advance: Told how many clips have been sampled.
        transcribe: Recognises speech; what it hears in the recording is what an arm's word error rate is measured by,
            since a window cuts words.
    """
    heard = embed_gallery(task, data, split)
    gallery = step_embeddings(heard.tokens, training.mean)
    rows = heard.spread(windows)
    other, moved = another_trial(heard.subject[rows], heard.stimulus[rows])
    kept = evenly(len(rows), examples)
    found: dict[str, list[Arrays]] = {arm: [] for arm in ARMS}
    waves: dict[str, dict[int, Floats]] = {arm: {} for arm in ARMS}
    # every device takes as many steps, or one would wait for ever: the last windows may be the first ones again
    world = trainer.world_size
    mine = np.resize(np.arange(len(rows)), -(-len(rows) // world) * world)[trainer.global_rank :: world]
    for first in range(0, len(mine), batch):
        places = mine[first : first + batch]
        here, there = (read_windows(task, data, split, which[places]) for which in (rows, rows[other]))
        truth = here["audio"].cpu().numpy()
        said = [] if transcribe is None else [transcribe(wave) for wave in truth]
        for arm, sound in generate_variants(task, here, there):
            tokens = audio_tokens(task, sound)
            embedded = step_embeddings(tokens, training.mean)
            made = sound.float().cpu().numpy()
            measured = {
                "similarity": embedded @ gallery.T,
                "nearest": nearest_training(embedded, training.embedded)[1],
                "voice": clip_embeddings(tokens),
            }
            if arm != "truth":
                figures = speech_figures(truth, made)
                if transcribe is not None:
                    figures |= {"wer": word_error_rates(transcribe, made, said)}
                measured |= {f"figure {name}": values for name, values in figures.items()}
            shared = _gathered(trainer, {**measured, "places": places, "waves": made})
            clips = dict(zip(shared.pop("places").tolist(), shared.pop("waves"), strict=True))
            waves[arm] |= {place: clips[place] for place in kept.tolist() if place in clips}
            found[arm].append(shared)
            if arm in SAMPLED:
                advance(len(clips))
    arms = {arm: _joined(parts, len(rows), waves[arm]) for arm, parts in found.items()}
    return GeneratedSplit(rows, moved, heard, nearest_training(gallery, training.embedded)[1], kept, arms)


def _gathered(trainer: pl.Trainer, rows: Arrays) -> Arrays:
    """Rows of all devices in the order of the windows."""
    if trainer.world_size == 1:
        return rows
    gathered: Arrays = {}
    for name, values in rows.items():
        on_device = torch.from_numpy(np.ascontiguousarray(values)).to(trainer.strategy.root_device)
        gathered[name] = trainer.strategy.all_gather(on_device).transpose(0, 1).flatten(0, 1).cpu().numpy()
    return gathered


def _joined(parts: list[Arrays], count: int, waves: dict[int, Floats]) -> GeneratedClips:
    whole = {name: np.concatenate([split[name] for split in parts])[:count] for name in parts[0]}
    figures = {name.removeprefix("figure "): values for name, values in whole.items() if name.startswith("figure ")}
    return GeneratedClips(whole["similarity"], whole["nearest"], whole["voice"], figures, waves)
