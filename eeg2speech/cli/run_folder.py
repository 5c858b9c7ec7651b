"""A run's folder: the config of every start is kept in it, and a new run never writes over an earlier one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech import slurm


class SaveRunConfig(SaveConfigCallback):
    """Keeps the config of every start: ``config.yaml``, then ``config.1.yaml``, and so on.

    A start from scratch never writes over an earlier run: that one's folder is first renamed to ``<run>.1``, and back
    if the start fails before there is anything to train.
    """

    _aside: tuple[Path, Path] | None = None  # a run's folder, and where the earlier run in it went

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose the file name before the parent writes it."""
        folder = Path(trainer.log_dir or ".")  # a collective: every rank asks
        if trainer.is_global_zero and not self.already_saved:
            if stage == "fit":
                if self.config.get("ckpt_path") is None and not slurm.continues(folder):
                    aside = set_aside(folder, trainer.loggers)
                    self._aside = (folder, aside) if aside else None
                slurm.record_job(folder)
            name, count = Path(self.config_filename), 0
            while (folder / self.config_filename).exists():
                count += 1
                self.config_filename = f"{name.stem}.{count}{name.suffix}"
        self.overwrite = True
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on the folder is this run's."""
        self._aside = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put an earlier run back in its place."""
        if self._aside is None:
            return
        folder, aside = self._aside
        if not (folder / "checkpoints").exists():  # else it was pre-empted while starting, and will go on from there
            for logger in trainer.loggers:
                _forget_events(logger)  # it would write on, into the earlier run
            shutil.rmtree(folder)
            aside.replace(folder)
            rank_zero_info(f"Nothing was trained: the earlier run is in {folder} again")


def set_aside(folder: Path, loggers: Iterable[Logger] = ()) -> Path | None:
    """Rename a run folder that holds checkpoints, so that a new run starts in an empty one.

    Args:
        folder: Of the run.
        loggers: Of the new run; a file that one has begun in the folder does not go along.

    Returns:
        Its new name.
    """
    if not (folder / "checkpoints").is_dir():
        return None
    for logger in loggers:
        _forget_events(logger)
    count = 1
    while (aside := folder.with_name(f"{folder.name}.{count}")).exists():
        count += 1
    folder.replace(aside)
    rank_zero_info(f"The earlier run in {folder} is now {aside}; --ckpt_path last would have continued it")
    return aside


def _forget_events(logger: Logger) -> None:
    """Remove the file that Lightning opens for a run's events on starting; what is logged next opens another."""
    logger.finalize("aborted")
    if isinstance(logger, TensorBoardLogger) and logger._experiment is not None:
        ours = Path(logger.log_dir).glob(f"events.out.tfevents.*.{os.getpid()}.*")
        if newest := max(ours, key=lambda file: file.stat().st_mtime_ns, default=None):
            newest.unlink()
        logger._experiment = None
