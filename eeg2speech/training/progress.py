"""Progress of a run: throughput, Lightning's bar with the time left, and lines for logs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar

from eeg2speech.core.progress import Countdown, Pace, Track

T = TypeVar("T")
_SHORT_NAMES = {"train/loss": "loss", "val/loss": "val loss", "val/nmse": "NMSE", "train/samples_per_s": "samples/s"}


class LogThroughput(Callback):
    """Logs ``train/samples_per_s``: windows per second over all devices, without the time of validations."""

    def __init__(self) -> None:
        self._windows, self._seconds = 0, 0.0
        self._started = self._ended = 0.0
        self._validated = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock; the time since the last step counts, as the loader used it, unless it was a validation."""
        now = time.perf_counter()
        if self._windows and not self._validated:
            self._seconds += now - self._ended
        self._started, self._validated = now, False

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave out the time until the next step."""
        self._validated = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock, and log every ``trainer.log_every_n_steps`` batches."""
        self._ended = time.perf_counter()
        self._seconds += self._ended - self._started
        self._windows += len(batch["eeg"])
        if (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            rate = trainer.world_size * self._windows / self._seconds
            pl_module.log("train/samples_per_s", rate, prog_bar=True)
            self._windows, self._seconds = 0, 0.0


class ThroughputBar(RichProgressBar):
    """Rich progress bar with loss, NMSE, windows per second and the time left of the whole run."""

    def __init__(self) -> None:
        super().__init__()
        self._pace: Pace | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._pace = Pace(trainer.global_step)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Metrics under short names, which fit a line, and the time left."""
        items = _shorten(super().get_metrics(trainer, pl_module))
        left = self._pace.left(trainer.global_step, trainer.estimated_stepping_batches) if self._pace else ""
        return items | ({"left": left} if left else {})


class LineProgress(ProgressBar):
    """A line a minute on standard error, for the log of a cluster, which a bar would fill."""

    def __init__(self) -> None:
        super().__init__()
        self._paces: dict[str, Pace] = {}
        self._enabled = True

    def disable(self) -> None:
        """Print nothing; Lightning calls this in all processes but one."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let the first process alone print."""
        super().setup(trainer, pl_module, stage)
        if not trainer.is_global_zero:
            self.disable()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._paces["Step"] = Pace(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        """Print how far training is."""
        figures = _shorten(self.get_metrics(trainer, pl_module))
        self._print("Step", trainer.global_step, trainer.estimated_stepping_batches, figures)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        """Print how far validation is."""
        self._print_batch("Validation batch", trainer.num_val_batches, *batch)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        """Print how far the test is."""
        self._print_batch("Test batch", trainer.num_test_batches, *batch)

    def on_predict_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        """Print how far predicting is."""
        self._print_batch("Batch", trainer.num_predict_batches, *batch)

    def _print_batch(
        self, what: str, sizes: Sequence[int | float], outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Print how many batches of all loaders are done; the first one starts the clock."""
        done = int(sum(sizes[:dataloader_idx])) + batch_idx + 1
        if done == 1 or what not in self._paces:
            self._paces[what] = Pace(first=done)
        self._print(what, done, sum(sizes))

    def _print(self, what: str, done: int, total: float, figures: dict[str, Any] | None = None) -> None:
        pace = self._paces[what]
        if not (self._enabled and pace.due()):
            return
        words = [f"{what} {done}" + (f" of {total:.0f}" if math.isfinite(total) else "")]
        for name, value in (figures or {}).items():
            if isinstance(value, (int, float)):
                words.append(f"{name} {value:.4g}")
        if left := pace.left(done, total):
            words.append(f"about {left} left")
        print(", ".join(words), file=sys.stderr, flush=True)


@contextmanager
def counted(trainer: pl.Trainer, label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a callback's work after a test, with the time left.

    Args:
        trainer: Its first process shows the progress.
        label: What is done.
        total: Number of items.

    Yields:
        A function to call with the number of further items that are done.
    """
    lightning = trainer.progress_bar_callback
    if isinstance(lightning, RichProgressBar) and lightning.progress is not None:
        lightning.progress.stop()  # two bars would overwrite each other
    with Countdown(label, total, hidden=not trainer.is_global_zero) as countdown:
        yield lambda count: countdown.step(count=count)


def tracked(trainer: pl.Trainer, label: str) -> Track:
    """A ``Track`` over a callback's work after a test.

    Args:
        trainer: Its first process shows the progress.
        label: What is done.
    """

    def track(items: Sequence[T], /) -> Iterable[T]:
        with counted(trainer, label, len(items)) as done:
            for item in items:
                yield item
                done(1)

    return track


def _shorten(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics under names that fit a line, without the version that Lightning adds."""
    return {_SHORT_NAMES.get(name, name): value for name, value in metrics.items() if name != "v_num"}
