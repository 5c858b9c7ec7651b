from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.audio import RATE
from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.audio_gallery import Rows
from eeg2speech.evaluation.generation import generate_variants, read_windows, spread_evenly
from eeg2speech.evaluation.judge import Floats
from eeg2speech.metrics.speech import speech_figures
from eeg2speech.plotting import draw_speech
from eeg2speech.reporting.tensorboard.speech_examples import clip_names, clip_tag
from eeg2speech.training.steps import OccasionalCallback

if TYPE_CHECKING:  # diffusers takes seconds to import, which no other stage should wait for
    from eeg2speech.tasks.diffusion import DiffusionTask

FIXED = ("truth", "round_trip")
"""Variants that do not change in training."""
CHANGING = ("eeg", "mel_regression", "noise", "unconditional")


class LogSpeech(OccasionalCallback):
    """Plays and draws, in TensorBoard, speech generated for a few validation windows.

    Every validation logs ``val/mel_corr/eeg``, ``val/mel_corr/mel_regression`` and ``val/mel_corr/noise``: the
    correlation of log mel spectrograms of clips, from EEG by the model and by linear regression, and from noise in its
    place, with those of the recording. Only the difference from noise reflects the EEG.

    Args:
        windows: How many, evenly spread; the same ones every time, sampled from the same noise.
        occasions: At how many validations of a run, spread evenly from the first to the last, they are played and
            drawn; 0 for none.
    """

    def __init__(self, windows: int = 2, occasions: int = 10) -> None:
        super().__init__(occasions)
        self.windows = windows
        self._fixed: dict[str, Floats] = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Generate after the first batch, on all devices; averaged weights, if there are any, are in place then."""
        if batch_idx or trainer.sanity_checking or not self.windows:
            return
        run = diffusion_run(trainer, pl_module)
        if run is None:
            return
        task, data = run
        rows = spread_evenly(len(data.datasets["val"]), self.windows)
        windows = read_windows(task, data, "val", rows)
        new = not self._fixed
        clips = {
            variant: np.nan_to_num(waves.float().cpu().numpy()).clip(-1, 1)
            for variant, waves in generate_variants(task, windows, variants=(*FIXED, *CHANGING) if new else CHANGING)
        }
        self._fixed = self._fixed or {variant: clips[variant] for variant in FIXED}
        for variant in ("eeg", "mel_regression", "noise"):
            found = speech_figures(self._fixed["truth"], clips[variant], names=("mel_corr",))["mel_corr"]
            mean = found[np.isfinite(found)].mean() if np.isfinite(found).any() else np.nan
            pl_module.log(
                f"val/mel_corr/{variant}", torch.tensor(mean, dtype=torch.float32), batch_size=len(rows), sync_dist=True
            )
        logger = trainer.logger
        if trainer.is_global_zero and isinstance(logger, TensorBoardLogger) and self.occasions.due(trainer):
            self._show(logger, {**self._fixed, **clips}, rows, data, trainer.global_step, new)

    def _show(
        self,
        logger: TensorBoardLogger,
        clips: dict[str, Floats],
        rows: Rows,
        data: EEGAudioDataModule,
        step: int,
        new: bool,
    ) -> None:
        for variant, waves in clips.items():
            if variant in FIXED and not new:
                continue
            for row, wave in zip(rows.tolist(), waves, strict=True):
                tag = clip_tag("val", row, variant, data.description.simulated)
                logger.experiment.add_audio(tag, torch.from_numpy(wave)[None], step, RATE)
        simulated = "SIMULATED EEG, " if data.description.simulated else ""
        figure = draw_speech(clips, clip_names(data, "val", rows), f"{simulated}validation, step {step}")
        logger.experiment.add_figure("val/speech", figure, step)


def diffusion_run(trainer: pl.Trainer, module: pl.LightningModule) -> tuple[DiffusionTask, EEGAudioDataModule] | None:
    """The task and its data where both are of stage 3, else None."""
    from eeg2speech.tasks.diffusion import DiffusionTask

    data = getattr(trainer, "datamodule", None)
    if isinstance(module, DiffusionTask) and isinstance(data, EEGAudioDataModule):
        return module, data
    return None
