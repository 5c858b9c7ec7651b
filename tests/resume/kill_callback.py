from __future__ import annotations

import os
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from eeg2speech.training import atomic_checkpoint_io


class KillAt(Callback):
    """Kills its process, as a machine that dies does: nothing is caught, nothing is cleaned up. Or tells it to leave.

    Args:
        step: Optimizer steps that are done by then.
        moment: What it is doing.
        rank: Which process dies.
        number: Of the signal; 9 is SIGKILL.
    """

    def __init__(self, step: int, moment: str, rank: int = 0, number: int = 9) -> None:
        self.step, self.moment, self.rank, self.number = step, moment, rank, number

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.moment in ("writing", "written"):
            write = atomic_checkpoint_io.torch.save

            def die(content: Any, stream: Any) -> None:
                write(content, stream)
                if "last.ckpt" in stream.name:  # what the next run needs
                    stream.flush()
                    if self.moment == "writing" and trainer.global_step == self.step:
                        stream.truncate(stream.tell() // 2)
                    self._die(trainer, "writing", "written")

            atomic_checkpoint_io.torch = type("torch", (), {"save": staticmethod(die)})  # type: ignore[assignment]

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die(trainer, "loaded")

    def on_before_backward(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die(trainer, "forward")

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die(trainer, "gradients")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die(trainer, "stepped")

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die(trainer, "validating")

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die(trainer, "validated")

    def _die(self, trainer: pl.Trainer, *moments: str) -> None:
        if self.moment in moments and trainer.global_step == self.step and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)
