from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.data.datamodule import EEGAudioDataModule
from eeg2speech.plotting import error_topomap, reconstruction_figure
from eeg2speech.tasks import MAEEGTask
from eeg2speech.types import Batch


class LogReconstruction(Callback):
    """Shows in TensorBoard, at every validation, what was hidden, what came back, and where on the head it is wrong.

    Args:
        window: Which window of the first validation batch is drawn.
    """

    def __init__(self, window: int = 0) -> None:
        self.window = window

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch."""
        data, logger = trainer.datamodule, trainer.logger  # type: ignore[attr-defined]
        if batch_idx or trainer.sanity_checking or not isinstance(logger, TensorBoardLogger):
            return
        if not isinstance(pl_module, MAEEGTask) or not isinstance(data, EEGAudioDataModule):
            return
        if pl_module.autoencoder.normalize_target:
            return  # predictions are of patches without their level: there is no picture to put them into
        painted, hidden = pl_module.autoencoder.paint(batch["eeg"], outputs["result"])
        pick = min(self.window, len(batch["eeg"]) - 1)
        names = data.channel_names(int(batch["recording"][pick]))
        true, made, gone = (x[pick, : len(names)].float().cpu().numpy() for x in (batch["eeg"], painted, hidden))
        subject = data.store.subjects[int(batch["subject"][pick])]
        simulated = "simulated EEG, " if data.description.simulated else ""
        title = f"{simulated}subject {subject}, step {trainer.global_step}"
        moment = f"{title}, {float(batch['start'][pick]):.2f} s into the recording"
        figure = reconstruction_figure(true, made, gone > 0, names, rate=data.store.rate, title=moment)
        logger.experiment.add_figure("val/reconstruction", figure, trainer.global_step)
        same = (batch["recording"] == batch["recording"][pick]).cpu().numpy()
        batches = (x[:, : len(names)].float().cpu().numpy() for x in (batch["eeg"], painted, hidden))
        eeg, all_painted, all_hidden = batches
        error = (((all_painted - eeg) ** 2) * all_hidden)[same].sum((0, 2))
        variance = (eeg**2 * all_hidden)[same].sum((0, 2))
        positions = batch["positions"][pick, : len(names)].float().cpu().numpy()
        ratio = np.where(variance > 0, error / np.maximum(variance, 1e-9), np.nan)  # nothing hidden, nothing to show
        figure = error_topomap(ratio, positions, names, title=f"NMSE per electrode, {title}")
        logger.experiment.add_figure("val/error_topomap", figure, trainer.global_step)
