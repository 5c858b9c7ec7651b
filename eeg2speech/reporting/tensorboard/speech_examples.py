"""Clips of a test as wav files, in TensorBoard and as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.audio import RATE
from eeg2speech.audio.files import write_wav
from eeg2speech.audio.mel import level
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.audio_gallery import Rows
from eeg2speech.evaluation.generation import GeneratedSplit
from eeg2speech.metrics.frechet import Frechet
from eeg2speech.metrics.intervals import Estimate
from eeg2speech.metrics.results import SpeechSplit, in_words
from eeg2speech.metrics.summary import variant_title
from eeg2speech.plotting import Figure, draw_fidelity, draw_identification, draw_speech
from eeg2speech.reporting.tensorboard.alignment_figures import gallery_curve

MAX_PLAYED = 2
"""Windows of a split whose clips are in TensorBoard; the folder of the run has more."""


def write_clips(folder: Path, generated: GeneratedSplit) -> None:
    """Write the kept clips of every variant as ``<window>_<variant>.wav``, all at the same loudness.

    Args:
        folder: Of the split; created if missing.
        generated: Clips of the split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for variant, clips in generated.variants.items():
        for place, wave in clips.waves.items():
            sound = np.nan_to_num(level(torch.from_numpy(wave)[None])[0].numpy())
            write_wav(folder / f"{generated.rows[place]:05d}_{variant}.wav", sound)


def clip_tag(prefix: str, row: int, variant: str, simulated: bool) -> str:
    """Tag of a clip in TensorBoard, which names simulated EEG as such."""
    return f"{prefix}/{'SIMULATED_EEG_' if simulated else ''}speech_{row}/{variant}"


def log_clips(
    logger: TensorBoardLogger, split: SplitName, generated: GeneratedSplit, step: int, simulated: bool
) -> None:
    """Add the first kept clips of every variant to TensorBoard, all at the same loudness.

    Args:
        logger: The logger.
        split: Name of the split.
        generated: Clips of the split.
        step: Optimizer steps of the weights.
        simulated: The EEG is simulated.
    """
    for variant, clips in generated.variants.items():
        for place in generated.kept[:MAX_PLAYED].tolist():
            sound = level(torch.from_numpy(clips.waves[place])[None]).nan_to_num().clip(-1, 1)
            tag = clip_tag(f"test/{split}", generated.rows[place], variant, simulated)
            logger.experiment.add_audio(tag, sound, step, RATE)


def speech_pictures(
    generated: GeneratedSplit, found: SpeechSplit, names: Sequence[str], title: str
) -> dict[str, Figure]:
    """Identification by number of sounds and against the Frechet distance, and spectrograms of the kept clips.

    Args:
        generated: Clips of a split.
        found: Results on the split.
        names: Names of the kept clips.
        title: Above each figure.
    """
    about = f"{title}\n{found.windows} clips, each among {found.gallery} real sounds"
    results = {name: one.identification for name, one in found.variants.items() if one.identification}
    curves = {in_words(name): gallery_curve(points) for name, points in results.items()}
    figures = {"identification": draw_identification(curves, about)} if curves else {}
    if found.curve:
        curve = {f"{point.start:g}": (point.identification, point.frechet) for point in found.curve}
        others = {
            variant_title(name): (point.estimate, found.variants[name].frechet)
            for name in ("mel_regression", "noise")
            if (point := found.variants[name].among(found.verdict.way)) is not None
        }
        figures["fidelity"] = draw_fidelity(_placed(curve), _placed(others), 1 / found.verdict.way, about)
    if names:
        kept = generated.kept.tolist()
        waves = {
            in_words(name): np.stack([clips.waves[place] for place in kept])
            for name, clips in generated.variants.items()
        }
        figures["speech"] = draw_speech(waves, names, title)
    return figures


def _placed(points: Mapping[str, tuple[Estimate, Frechet]]) -> dict[str, tuple[float, ...]]:
    """Frechet distance, identification and its bounds of each point."""
    return {name: (frechet.value, one.value, one.low, one.high) for name, (one, frechet) in points.items()}


def clip_names(data: EEGAudioDataModule, split: SplitName, rows: Rows) -> list[str]:
    """Stimulus, start and subject of windows of a split."""
    if not len(rows):
        return []
    batch = data.datasets[split].__getitems__([(int(row), 0) for row in rows])
    named = zip(batch["stimulus"].tolist(), batch["sound_start"].tolist(), batch["subject"].tolist(), strict=True)
    return [
        f"{data.store.stimuli[stimulus]} from {start:.1f} s, subject {data.store.subjects[subject]}"
        for stimulus, start, subject in named
    ]
