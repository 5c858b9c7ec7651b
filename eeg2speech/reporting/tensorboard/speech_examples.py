"""A few clips of a test to listen to and to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.audio import RATE
from eeg2speech.audio.files import write_wav
from eeg2speech.audio.mel import level
from eeg2speech.core.files import written_beside
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.generated_clips import GeneratedSplit
from eeg2speech.evaluation.speech_variants import Rows
from eeg2speech.plotting import Curve, Figure, draw_identification, draw_speech

DOTS = 120
"""Per inch, of the pictures."""
PLAYED = 2
"""Windows of a list that TensorBoard plays, by every arm; the files are beside the run's other clips."""


def write_clips(folder: Path, spoken: GeneratedSplit) -> None:
    """Write the kept clips of every arm as ``<window>_<arm>.wav``, all at the same loudness.

    Args:
        folder: Of the list; is made.
        spoken: Of the list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for arm, made in spoken.arms.items():
        for place, wave in made.waves.items():
            sound = np.nan_to_num(level(torch.from_numpy(wave)[None])[0].numpy())
            write_wav(folder / f"{spoken.rows[place]:05d}_{arm.replace(' ', '_')}.wav", sound)


def clip_tag(where: str, row: int, arm: str, simulated: bool) -> str:
    """Name of a clip in TensorBoard, which says what nobody may miss."""
    return f"{where}/{'SIMULATED_EEG_' if simulated else ''}speech_{row}/{arm}"


def log_clips(logger: TensorBoardLogger, split: SplitName, spoken: GeneratedSplit, step: int, simulated: bool) -> None:
    """Let TensorBoard play the first kept clips of every arm, all at the same loudness.

    Args:
        logger: TensorBoard's.
        split: Name of the list.
        spoken: Of the list.
        step: That the weights stand at.
        simulated: Whether the EEG is.
    """
    for arm, made in spoken.arms.items():
        for place in spoken.kept[:PLAYED].tolist():
            sound = level(torch.from_numpy(made.waves[place])[None]).nan_to_num().clip(-1, 1)
            tag = clip_tag(f"test/{split}", spoken.rows[place], arm, simulated)
            logger.experiment.add_audio(tag, sound, step, RATE)


def speech_pictures(
    spoken: GeneratedSplit, found: Mapping[str, Any], names: Sequence[str], title: str
) -> dict[str, Figure]:
    """Spectrograms of the kept clips, and how well clips are told apart.

    Args:
        spoken: Of the list.
        found: Results of the list, in plain values.
        names: Of the kept clips.
        title: Above each figure.
    """
    about = f"{title}\n{found['windows']} clips, each among {found['gallery']} real sounds"
    curves = {arm: _curve(points) for arm, points in found["identification"].items() if points}
    figures = {"identification": draw_identification(curves, about)} if curves else {}
    if names:
        kept = spoken.kept.tolist()
        waves = {arm: np.stack([made.waves[place] for place in kept]) for arm, made in spoken.arms.items()}
        figures["speech"] = draw_speech(waves, names, title)
    return figures


def save_picture(figure: Figure, file: Path) -> None:
    """Write a figure beside and rename it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(file) as partial:
        figure.savefig(partial, format="png", dpi=DOTS)


def clip_names(data: EEGAudioDataModule, split: SplitName, rows: Rows) -> list[str]:
    """What each of some windows of a list holds."""
    batch = data.datasets[split].__getitems__([(int(row), 0) for row in rows])
    named = zip(batch["stimulus"].tolist(), batch["sound_start"].tolist(), batch["subject"].tolist(), strict=True)
    return [
        f"{data.store.stimuli[stimulus]} from {start:.1f} s, subject {data.store.subjects[subject]}"
        for stimulus, start, subject in named
    ]


def _curve(points: Mapping[str, Mapping[str, float]]) -> Curve:
    """From the figures of each number of sounds to choose from."""
    columns = ("value", "low", "high", "chance", "null_low", "null_high")
    of_all = list(points.values())
    return Curve(np.array([float(way) for way in points]), *(np.array([p[c] for p in of_all]) for c in columns))
