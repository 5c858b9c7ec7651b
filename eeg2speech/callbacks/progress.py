from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, RichProgressBar


class LogThroughput(Callback):
    """Logs ``train/samples_per_s``: windows per second over all devices, validation not counted."""

    def __init__(self) -> None:
        self._windows, self._seconds = 0, 0.0
        self._started = self._ended = 0.0
        self._validated = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock."""
        now = time.perf_counter()
        if self._windows and not self._validated:  # the time since the last step is the loader's: it counts
            self._seconds += now - self._ended
        self._started, self._validated = now, False

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the time until the next step was not spent on training."""
        self._validated = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock and log every now and then."""
        self._ended = time.perf_counter()
        self._seconds += self._ended - self._started
        self._windows += len(batch["eeg"])
        if (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            rate = trainer.world_size * self._windows / self._seconds
            pl_module.log("train/samples_per_s", rate, prog_bar=True)
            self._windows, self._seconds = 0, 0.0


class ThroughputBar(RichProgressBar):
    """Rich progress bar with loss, NMSE and windows per second."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Shorten names to fit a line."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        short = {"train/loss": "loss", "val/loss": "val loss", "val/nmse": "NMSE", "train/samples_per_s": "samples/s"}
        return {short.get(name, name): value for name, value in items.items()}
