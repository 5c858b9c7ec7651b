from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.reporting.tensorboard.layout import kind_of, layout_of
from eeg2speech.reporting.tensorboard.settings import (
    columns_summary,
    end_summary,
    judged_figures,
    settings_of,
    start_summary,
)
from eeg2speech.reporting.tensorboard.text import result_texts
from eeg2speech.tasks import Task
from eeg2speech.training.steps import step_of
from eeg2speech.training.write_results import gather_results


class LogOverview(Callback):
    """Fills the TensorBoard tabs that summarise a run; other loggers are ignored.

    CUSTOM SCALARS: the main figures of the stage, then those of training. HPARAMS: settings and final figures. TEXT:
    after a test, the verdict with its reasons and the tables. Must come after the callbacks that evaluate the model.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write layout and settings at every start, since each start writes an event file of its own."""
        logger = _logger(trainer)
        if logger is None:
            return
        logger.experiment.add_custom_scalars(layout_of(kind_of(pl_module)))
        _write_settings(logger, trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark the run as ended; a pre-empted run does not get here."""
        logger = _logger(trainer)
        if logger is not None:
            logger.experiment._get_file_writer().add_summary(end_summary(), trainer.global_step)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the figures of a test at the step of the tested checkpoint instead of step 0, in all loggers."""
        pl_module.log("step", float(step_of(trainer, pl_module)))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write settings, final figures, verdict and tables of a test, after ``on_test_end`` of all callbacks."""
        if stage != "test":
            return
        logger = _logger(trainer)
        if logger is None or not isinstance(pl_module, Task):
            return
        step = step_of(trainer, pl_module)
        results = gather_results(trainer, pl_module)
        _write_settings(logger, trainer, pl_module)  # the columns may differ from those that the training wrote
        for tag, value in judged_figures(results).items():
            logger.experiment.add_scalar(tag, value, step)
        for tag, text in result_texts(results).items():
            logger.experiment.add_text(tag, text, step)


def _write_settings(logger: TensorBoardLogger, trainer: pl.Trainer, task: pl.LightningModule) -> None:
    data = trainer.datamodule  # type: ignore[attr-defined]
    if isinstance(task, Task) and isinstance(data, EEGAudioDataModule):
        for summary in (columns_summary(), start_summary(settings_of(trainer, task, data))):
            logger.experiment._get_file_writer().add_summary(summary, step_of(trainer, task))


def _logger(trainer: pl.Trainer) -> TensorBoardLogger | None:
    """The TensorBoard logger, on the first device."""
    logger = trainer.logger
    return logger if trainer.is_global_zero and isinstance(logger, TensorBoardLogger) else None
