from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar

from eeg2speech.core.progress import EVERY, in_words


class LineProgress(ProgressBar):
    """A line a minute on standard error, for the log of a cluster, which a bar would fill."""

    def __init__(self) -> None:
        super().__init__()
        self._paces: dict[str, Pace] = {}
        self._shown = True

    def disable(self) -> None:
        """Say nothing, as Lightning asks of all but one process."""
        self._shown = False

    def enable(self) -> None:
        """Say something again."""
        self._shown = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Only the first process speaks."""
        super().setup(trainer, pl_module, stage)
        if not trainer.is_global_zero:
            self.disable()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._paces["Step"] = Pace(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        """Say how far training is."""
        self._tell("Step", trainer.global_step, trainer.estimated_stepping_batches, (trainer, pl_module))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._paces["Validation batch"] = Pace()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Say how far validation is."""
        self._tell("Validation batch", *_batches(trainer.num_val_batches, batch_idx, dataloader_idx))

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._paces["Test batch"] = Pace()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Say how far the test is."""
        self._tell("Test batch", *_batches(trainer.num_test_batches, batch_idx, dataloader_idx))

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._paces["Batch"] = Pace()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Say how far predicting is."""
        self._tell("Batch", *_batches(trainer.num_predict_batches, batch_idx, dataloader_idx))

    def _tell(
        self, what: str, done: int, total: float, run: tuple[pl.Trainer, pl.LightningModule] | None = None
    ) -> None:
        pace = self._paces.setdefault(what, Pace())
        if not (self._shown and pace.due()):
            return
        words = [f"{what} {done}" + (f" of {total:.0f}" if math.isfinite(total) else "")]
        if run is not None:
            figures = shortened(self.get_metrics(*run)).items()
            words += [f"{name} {value:.4g}" for name, value in figures if isinstance(value, (int, float))]
        if left := pace.left(done, total):
            words.append(f"about {left} left")
        print(", ".join(words), file=sys.stderr, flush=True)


def _batches(sizes: list[int | float], batch: int, loader: int) -> tuple[int, float]:
    """How many batches of all loaders are done, and how many there are."""
    return int(sum(sizes[:loader])) + batch + 1, sum(sizes)


class Pace:
    """How fast something goes.

    Args:
        first: How much of it was done before.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self._started = self._told = time.monotonic()

    def left(self, done: int, total: float) -> str:
        """The time left in words, empty while nobody can know."""
        if done <= self.first or not math.isfinite(total):
            return ""
        return in_words((time.monotonic() - self._started) / (done - self.first) * max(total - done, 0))

    def due(self) -> bool:
        """Whether a minute has gone by since this last said so."""
        now = time.monotonic()
        if now - self._told < EVERY:
            return False
        self._told = now
        return True


def shortened(items: dict[str, Any]) -> dict[str, Any]:
    """Names of metrics that fit a line, without the version that Lightning puts there."""
    short = {"train/loss": "loss", "val/loss": "val loss", "val/nmse": "NMSE", "train/samples_per_s": "samples/s"}
    return {short.get(name, name): value for name, value in items.items() if name != "v_num"}
