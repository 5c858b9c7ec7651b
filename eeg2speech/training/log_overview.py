from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.reporting.tensorboard.layout import kind_of, layout_of
from eeg2speech.reporting.tensorboard.settings import begun, columns, ended, judged_figures, settings_of
from eeg2speech.reporting.tensorboard.text import result_texts
from eeg2speech.tasks import Task
from eeg2speech.training.steps import step_of


class LogOverview(Callback):
    """Puts what matters first in TensorBoard; other loggers are left alone.

    CUSTOM SCALARS: the few figures of the stage that count, then how training goes. HPARAMS: settings that people
    compare, beside final figures. TEXT: after a test the verdict with its reasons and the tables.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lay out the charts and tell the settings, at every start: each writes a file of its own."""
        logger = _logger(trainer)
        if logger is None:
            return
        logger.experiment.add_custom_scalars(layout_of(kind_of(pl_module)))
        self._tell_settings(logger, trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that the run came to its end; one that is pre-empted does not get here."""
        logger = _logger(trainer)
        if logger is not None:
            logger.experiment._get_file_writer().add_summary(ended(), trainer.global_step)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Have all loggers place a test at the step of the checkpoint that is tested, and not at step 0."""
        pl_module.log("step", float(step_of(trainer, pl_module)))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Log the results of a test after every callback's ``on_test_end``, wherever this one stands in the list."""
        if stage != "test":
            return
        logger = _logger(trainer)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if logger is None or not isinstance(pl_module, Task) or not isinstance(data, EEGAudioDataModule):
            return
        step = step_of(trainer, pl_module)
        metrics = {tag: float(value) for tag, value in trainer.callback_metrics.items() if tag.startswith("test/")}
        self._tell_settings(logger, trainer, pl_module)  # the run may have been trained by another version
        for tag, value in judged_figures(pl_module.results, metrics).items():
            logger.experiment.add_scalar(tag, value, step)
        for tag, text in result_texts(pl_module.results, metrics, data.description.simulated).items():
            logger.experiment.add_text(tag, text, step)

    def _tell_settings(self, logger: TensorBoardLogger, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(task, Task) and isinstance(data, EEGAudioDataModule):
            for summary in (columns(), begun(settings_of(trainer, task, data))):
                logger.experiment._get_file_writer().add_summary(summary, step_of(trainer, task))


def _logger(trainer: pl.Trainer) -> TensorBoardLogger | None:
    """TensorBoard's, on the first device."""
    logger = trainer.logger
    return logger if trainer.is_global_zero and isinstance(logger, TensorBoardLogger) else None
