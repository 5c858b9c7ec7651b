from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, RichProgressBar

from eeg2speech.core.progress import Countdown, Track
from eeg2speech.training.line_progress import Pace, shortened

T = TypeVar("T")


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
    """Rich progress bar with loss, NMSE, windows per second and the time that the whole run has left."""

    def __init__(self) -> None:
        super().__init__()
        self._pace: Pace | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._pace = Pace(trainer.global_step)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Shorten names to fit a line."""
        items = shortened(super().get_metrics(trainer, pl_module))
        left = self._pace.left(trainer.global_step, trainer.estimated_stepping_batches) if self._pace else ""
        return items | ({"left": left} if left else {})


@contextmanager
def counted(trainer: pl.Trainer, label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Count what a callback does after a test, with the time left.

    Args:
        trainer: Its first process shows it.
        label: What is done.
        total: How much there is to do.

    Yields:
        To be told how many more are done.
    """
    lightning = trainer.progress_bar_callback
    if isinstance(lightning, RichProgressBar) and lightning.progress is not None:
        lightning.progress.stop()  # two bars would paint over one another
    with Countdown(label, total, hidden=not trainer.is_global_zero) as countdown:
        yield lambda count: countdown.step(count=count)


def tracked(trainer: pl.Trainer, label: str) -> Track:
    """The same for what goes through a sequence.

    Args:
        trainer: Its first process shows it.
        label: What is done.
    """

    def track(items: Sequence[T], /) -> Iterable[T]:
        with counted(trainer, label, len(items)) as done:
            for item in items:
                yield item
                done(1)

    return track
