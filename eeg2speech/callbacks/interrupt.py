from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.errors import INTERRUPTED


class GracefulInterrupt(Callback):
    """Ctrl-C finishes the step, saves ``last.ckpt`` and leaves; a second Ctrl-C leaves at once.

    The handler only sets a flag. Ranks agree on it at the end of a step, so that none waits for another in a
    collective operation.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over SIGINT."""
        self._asked, self._owner = False, os.getpid()
        self._before = signal.signal(signal.SIGINT, self._note)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Leave between two steps if asked to."""
        asked = self._asked
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if not asked:
            return
        self._restore()
        folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        partial = folder / "last.ckpt.partial"
        trainer.save_checkpoint(partial)  # collective, so every rank names the same file
        if trainer.is_global_zero:
            partial.replace(folder / "last.ckpt")
            run = folder.parent
            rank_zero_info(
                f"\nStopped at step {trainer.global_step}. Go on with the same command and "
                f"--ckpt_path last (saved in {run})"
            )
        raise SystemExit(INTERRUPTED)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give SIGINT back."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give SIGINT back."""
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that was forked inherits the handler
            return
        if self._asked:
            self._restore()
            raise KeyboardInterrupt
        self._asked = True

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
