"""Generated speech of a split by variant, in the spaces of the judge, with the real sounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.audio_gallery import AudioGallery, Rows, TrainingClips, embed_gallery
from eeg2speech.evaluation.judge import ENCODER, AudioJudge, Floats
from eeg2speech.evaluation.models import SpeechModel, on_device
from eeg2speech.losses.pairs import rank_and_world
from eeg2speech.metrics.frechet import clip_embeddings
from eeg2speech.metrics.identification import nearest_training, step_embeddings
from eeg2speech.metrics.results import VARIANTS
from eeg2speech.metrics.speech import Measure, speech_figures
from eeg2speech.metrics.surrogates import another_trial, noise
from eeg2speech.metrics.word_error import Transcriber, word_error_rates
from eeg2speech.models.audioldm2.condition import Condition

SAMPLED = tuple(name for name in VARIANTS if name not in ("truth", "round_trip", "mel_regression"))
"""Variants that the sampler generates."""
NOISE, CLIP = 0x6E6F6973, 0x636C6970  # keys of the noise instead of EEG, and of the noise of the sampler
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class GeneratedClips:
    """Clips of one variant for n windows.

    Attributes:
        similarity: With every sound of the split by space, (n, G).
        nearest: Similarity with the nearest training sound, (n,).
        voice: Mean of the tokens of each clip, (n, D).
        figures: Quality against the recording by figure, (n,); the recording itself has none.
        waves: Waveforms that are kept, (S,), by their place among the windows.
    """

    similarity: dict[str, Floats]
    nearest: NDArray[np.floating[Any]]
    voice: NDArray[np.float64]
    figures: dict[str, NDArray[np.float64]]
    waves: dict[int, Floats]


@dataclass(frozen=True)
class GeneratedSplit:
    """Clips of all variants for windows of a split.

    Attributes:
        rows: Index of each window in the split, (n,).
        moved: Whether the other trial of a window is of another sound, (n,); where not, ``another_trial`` leaves it
            out.
        gallery: Windows and real sounds of the split.
        nearest: Similarity of these sounds with the nearest training sound, (G,).
        kept: Places among ``rows`` whose waveforms are kept.
        variants: By id.
        by_start: Clips from EEG by the noise level at which sampling starts, without figures and waveforms.
    """

    rows: Rows
    moved: NDArray[np.bool_]
    gallery: AudioGallery
    nearest: NDArray[np.floating[Any]]
    kept: Rows
    variants: dict[str, GeneratedClips]
    by_start: dict[float, GeneratedClips]


@torch.no_grad()
def generate_variants(
    task: SpeechModel, batch: Batch, other: Batch | None = None, variants: Collection[str] = VARIANTS
) -> Iterator[tuple[str, Tensor]]:
    """Waveforms of a batch of windows by each variant, (B, S), in the order of ``VARIANTS``.

    The sampler starts from the same noise in all variants: it depends on the index of the window alone, so that
    variants differ by their condition only, and a clip does not depend on its batch.

    Args:
        task: Whose model.
        batch: Windows.
        other: For each window one of another trial of its subject; None leaves ``another_trial`` out.
        variants: Which to generate.
    """
    audio, index = batch["audio"], batch["index"].tolist()
    seeds = [mix(CLIP, row) for row in index]
    target = task.model.loa_of_sound(audio)
    for variant in VARIANTS:
        if variant not in variants:
            continue
        if variant == "truth":
            yield variant, audio
        elif variant == "round_trip":
            yield variant, task.model.round_trip(audio)
        elif variant == "loa":
            yield variant, task.generate(Condition(target, task.model.latents(audio)), seeds, target.shape[1])
        elif variant == "eeg":
            yield variant, task.generate(task.condition_of(batch), seeds, target.shape[1])
        elif variant == "mel_regression":
            yield variant, task.regress(batch)
        elif variant == "noise":
            drawn = noise(batch["eeg"], batch["channel_mask"], [mix(NOISE, row) for row in index])
            yield variant, task.generate(task.condition_of({**batch, "eeg": drawn}), seeds, target.shape[1])
        elif variant == "another_trial" and other is not None:
            yield variant, task.generate(task.condition_of(other), seeds, target.shape[1])
        elif variant == "unconditional":
            yield variant, task.generate(None, seeds, target.shape[1])


@torch.no_grad()
def generate_from(task: SpeechModel, batch: Batch, start: float) -> Tensor:
    """Waveforms from the EEG of a batch as of ``generate_variants``, with another start of the sampler, (B, S)."""
    condition = task.condition_of(batch)
    seeds = [mix(CLIP, row) for row in batch["index"].tolist()]
    return task.generate(condition, seeds, condition.loa.shape[1], start)


def generate_split(
    task: SpeechModel,
    judge: AudioJudge,
    data: EEGAudioDataModule,
    split: SplitName,
    training: TrainingClips,
    windows: int | None,
    examples: int,
    batch: int,
    done: Callable[[int], object] = lambda count: None,
    transcribe: Transcriber | None = None,
    measures: Mapping[str, Measure] = MappingProxyType({}),
    starts: Sequence[float] = (),
) -> GeneratedSplit:
    """Generate every variant of windows of a split; several devices share the windows, and each gets all results.

    Args:
        task: Whose model.
        judge: Embeds clips and real sounds.
        data: Whose windows.
        split: Which.
        training: Training sounds that clips are compared with.
        windows: All, or this many, of as many different sounds as possible.
        examples: How many of them have their waveforms kept.
        batch: Clips that a device generates at once.
        done: Called with how many more clips were generated.
        transcribe: Recognises speech. Word error rates compare with its text of the recording, as windows cut words.
        measures: Further figures of quality by name.
        starts: Further noise levels at which sampling starts, see ``Sampler``.
    """
    gallery = embed_gallery(judge, data, split)
    sounds = {space: step_embeddings(tokens, training.mean[space]) for space, tokens in gallery.tokens.items()}
    rows = gallery.spread(windows)
    other, moved = another_trial(gallery.subject[rows], gallery.stimulus[rows])
    kept = spread_evenly(len(rows), examples)
    found: dict[str | float, list[Arrays]] = {variant: [] for variant in VARIANTS}
    found.update({start: [] for start in starts})
    waves: dict[str, dict[int, Floats]] = {variant: {} for variant in VARIANTS}

    def judged(sound: Tensor) -> Arrays:
        tokens = judge.tokens(sound)
        embedded = {space: step_embeddings(values, training.mean[space]) for space, values in tokens.items()}
        return {
            **{f"similarity {space}": vectors @ sounds[space].T for space, vectors in embedded.items()},
            "nearest": nearest_training(embedded[ENCODER], training.embedded)[1],
            "voice": clip_embeddings(tokens[ENCODER]),
        }

    # every device takes as many steps, or one would wait for ever: the last windows may be the first ones again
    rank, world = rank_and_world()
    mine = np.resize(np.arange(len(rows)), -(-len(rows) // world) * world)[rank::world]
    for first in range(0, len(mine), batch):
        places = mine[first : first + batch]
        here, there = (read_windows(task, data, split, which[places]) for which in (rows, rows[other]))
        truth = here["audio"].cpu().numpy()
        texts = [] if transcribe is None else [transcribe(wave) for wave in truth]
        for variant, sound in generate_variants(task, here, there):
            measured = judged(sound)
            made = sound.float().cpu().numpy()
            if variant != "truth":
                figures = speech_figures(truth, made, further=measures)
                if transcribe is not None:
                    figures |= {"wer": word_error_rates(transcribe, made, texts)}
                measured |= {f"figure {name}": values for name, values in figures.items()}
            shared = _gather({**measured, "places": places, "waves": made}, task.device)
            clips = dict(zip(shared.pop("places").tolist(), shared.pop("waves"), strict=True))
            waves[variant] |= {place: clips[place] for place in kept.tolist() if place in clips}
            found[variant].append(shared)
            if variant in SAMPLED:
                done(len(clips))
        for start in starts:
            shared = _gather({**judged(generate_from(task, here, start)), "places": places}, task.device)
            done(len(shared.pop("places")))
            found[start].append(shared)
    variants = {variant: _join(found[variant], len(rows), waves[variant]) for variant in VARIANTS}
    by_start = {start: _join(found[start], len(rows), {}) for start in starts}
    nearest = nearest_training(sounds[ENCODER], training.embedded)[1]
    return GeneratedSplit(rows, moved, gallery, nearest, kept, variants, by_start)


def read_windows(task: SpeechModel, data: EEGAudioDataModule, split: SplitName, rows: Rows) -> Batch:
    """Windows of a split by their index, on the device of the model."""
    return on_device(data.datasets[split].__getitems__([(int(row), 0) for row in rows]), task.device)


def spread_evenly(count: int, most: int | None) -> Rows:
    """Indices of all of ``count`` windows, or of ``most`` evenly spread."""
    chosen = count if most is None else min(most, count)
    return np.arange(chosen) * count // max(chosen, 1)


def _gather(rows: Arrays, device: torch.device) -> Arrays:
    """Rows of all processes in the order of the windows; every process has as many."""
    _, world = rank_and_world()
    if world == 1:
        return rows
    gathered: Arrays = {}
    for name, values in rows.items():
        own = torch.from_numpy(np.ascontiguousarray(values)).to(device)
        parts = [torch.empty_like(own) for _ in range(world)]
        dist.all_gather(parts, own)
        gathered[name] = torch.stack(parts, dim=1).flatten(0, 1).cpu().numpy()
    return gathered


def _join(parts: list[Arrays], count: int, waves: dict[int, Floats]) -> GeneratedClips:
    whole = {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}
    similarity, figures = (
        {name.removeprefix(kind): values for name, values in whole.items() if name.startswith(kind)}
        for kind in ("similarity ", "figure ")
    )
    return GeneratedClips(similarity, whole["nearest"], whole["voice"], figures, waves)
