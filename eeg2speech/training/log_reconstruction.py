from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.plotting import error_topomap, reconstruction_figure, spectrogram_figure
from eeg2speech.tasks import AudioMAETask, MAEEGTask, MaskedTask
from eeg2speech.training.steps import OccasionalCallback

Array = NDArray[np.floating[Any]]


class LogReconstruction(OccasionalCallback):
    """Draws in TensorBoard, at validations, a window of EEG or sound and the reconstruction of its hidden patches.

    For EEG also the error at each electrode, over the head.

    Args:
        window: Which window of the first validation batch is drawn.
        occasions: At how many validations of a run, spread evenly from the first to the last; 0 for none.
    """

    def __init__(self, window: int = 0, occasions: int = 10) -> None:
        super().__init__(occasions)
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
        if not isinstance(pl_module, MaskedTask) or not isinstance(data, EEGAudioDataModule):
            return
        if pl_module.autoencoder.normalize_target:
            return  # predictions of normalised patches lack the level that a picture needs
        if not self.occasions.due(trainer):
            return
        rows = outputs["image"].rows
        predicted, mask = pl_module.autoencoder.paint(rows, outputs["result"])
        images = tuple(image.float().cpu().numpy() for image in (rows, predicted, mask))
        pick = min(self.window, len(rows) - 1)
        if isinstance(pl_module, MAEEGTask):
            self._draw_eeg(images, batch, pick, data, logger, trainer.global_step)
        elif isinstance(pl_module, AudioMAETask):
            target, predicted, hidden = (image[pick] for image in images)
            stimulus = data.store.stimuli[int(batch["stimulus"][pick])]
            title = f"stimulus {stimulus}, step {trainer.global_step}"
            figure = spectrogram_figure(target, predicted, hidden > 0, data.window, title)
            logger.experiment.add_figure("val/reconstruction", figure, trainer.global_step)

    def _draw_eeg(
        self,
        images: tuple[Array, ...],
        batch: Batch,
        pick: int,
        data: EEGAudioDataModule,
        logger: TensorBoardLogger,
        step: int,
    ) -> None:
        names = data.channel_names(int(batch["recording"][pick]))
        eeg, predicted, hidden = (image[:, : len(names)] for image in images)
        subject = data.store.subjects[int(batch["subject"][pick])]
        simulated = "simulated EEG, " if data.description.simulated else ""
        title = f"{simulated}subject {subject}, step {step}"
        moment = f"{title}, {float(batch['start'][pick]):.2f} s into the recording"
        figure = reconstruction_figure(
            eeg[pick], predicted[pick], hidden[pick] > 0, names, rate=data.store.rate, title=moment
        )
        logger.experiment.add_figure("val/reconstruction", figure, step)
        same = (batch["recording"] == batch["recording"][pick]).cpu().numpy()
        error = (((predicted - eeg) ** 2) * hidden)[same].sum((0, 2))
        variance = (eeg**2 * hidden)[same].sum((0, 2))
        positions = batch["positions"][pick, : len(names)].float().cpu().numpy()
        ratio = np.where(variance > 0, error / np.maximum(variance, 1e-9), np.nan)  # NaN where nothing was hidden
        figure = error_topomap(ratio, positions, names, title=f"NMSE per electrode, {title}")
        logger.experiment.add_figure("val/error_topomap", figure, step)
