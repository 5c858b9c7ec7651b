from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.audio import RATE
from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.audio_gallery import Floats
from eeg2speech.evaluation.speech_variants import Rows, diffusion_run, evenly, generate_variants, read_windows
from eeg2speech.metrics.speech import speech_figures
from eeg2speech.plotting import draw_speech
from eeg2speech.reporting.tensorboard.speech_examples import clip_names, clip_tag
from eeg2speech.training.steps import Occasions

FIXED = ("truth", "round trip")
"""Arms that training does not change."""
CHANGING = ("eeg", "noise", "unconditional")


class LogSpeech(Callback):
    """Lets TensorBoard play and show, at validations, what a few validation windows sound like.

    At every validation it logs ``val/mel_corr/eeg`` and ``val/mel_corr/noise``: how the spectrogram of what was made of
    them, and of noise in their place, correlates with that of the recording. Only the difference of the two tells of
    the EEG.

    Args:
        windows: How many, evenly spread; the same ones every time, sampled from the same noise.
        occasions: At how many validations of a run, spread evenly from the first to the last, they are played and
            shown; 0 for none.
    """

    def __init__(self, windows: int = 2, occasions: int = 10) -> None:
        self.windows, self.occasions = windows, Occasions(occasions)
        self._fixed: dict[str, Floats] = {}

    def state_dict(self) -> dict[str, Any]:
        """When they were shown last."""
        return self.occasions.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.occasions.load_state_dict(state_dict)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Speak behind the first batch, when averaged weights are in place if there are any; all devices alike."""
        if batch_idx or trainer.sanity_checking or not self.windows:
            return
        run = diffusion_run(trainer, pl_module)
        if run is None:
            return
        task, data = run
        rows = evenly(len(data.datasets["val"]), self.windows)
        windows = read_windows(task, data, "val", rows)
        new = not self._fixed
        spoken = {
            arm: np.nan_to_num(waves.float().cpu().numpy()).clip(-1, 1)
            for arm, waves in generate_variants(task, windows, arms=CHANGING if self._fixed else (*FIXED, *CHANGING))
        }
        self._fixed = self._fixed or {arm: spoken[arm] for arm in FIXED}
        for arm in ("eeg", "noise"):
            found = speech_figures(self._fixed["truth"], spoken[arm], names=("mel_corr",))["mel_corr"]
            mean = found[np.isfinite(found)].mean() if np.isfinite(found).any() else np.nan
            pl_module.log(
                f"val/mel_corr/{arm}", torch.tensor(mean, dtype=torch.float32), batch_size=len(rows), sync_dist=True
            )
        logger = trainer.logger
        if trainer.is_global_zero and isinstance(logger, TensorBoardLogger) and self.occasions.due(trainer):
            self._show(logger, spoken if new else {**self._fixed, **spoken}, rows, data, trainer.global_step, new)

    def _show(
        self,
        logger: TensorBoardLogger,
        spoken: dict[str, Floats],
        rows: Rows,
        data: EEGAudioDataModule,
        step: int,
        new: bool,
    ) -> None:
        for arm, waves in spoken.items():
            if arm in FIXED and not new:
                continue
            for row, wave in zip(rows.tolist(), waves, strict=True):
                tag = clip_tag("val", row, arm, data.description.simulated)
                logger.experiment.add_audio(tag, torch.from_numpy(wave)[None], step, RATE)
        simulated = "SIMULATED EEG, " if data.description.simulated else ""
        figure = draw_speech(spoken, clip_names(data, "val", rows), f"{simulated}validation, step {step}")
        logger.experiment.add_figure("val/speech", figure, step)
