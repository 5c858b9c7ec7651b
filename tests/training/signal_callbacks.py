"""Callbacks that tests of pre-emption load into a run: they send signals, and write down what was done."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Tell(Callback):
    """Sends a signal to the process of one rank, once.

    Args:
        name: Of the signal.
        moment: ``step``: in the middle of it; ``validation``: before its second batch; ``saving``: while a checkpoint
            is put together; ``start``: before training.
        at: Optimizer steps done by then.
        rank: That is told; -1 for all, as Ctrl-C tells all that a terminal started.
    """

    def __init__(self, name: str, moment: str = "step", at: int = 0, rank: int = 0) -> None:
        self.number, self.moment, self.at, self.rank = getattr(signal, name), moment, at, rank
        self.told = False

    def setup(self, trainer, pl_module, stage) -> None:
        self._tell(trainer, "start")

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        self._tell(trainer, "step")

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        if batch_idx == 1:
            self._tell(trainer, "validation")

    def on_save_checkpoint(self, trainer, pl_module, checkpoint) -> None:
        self._tell(trainer, "saving")

    def _tell(self, trainer, moment: str) -> None:
        here = self.rank in (-1, trainer.global_rank) and not self.told
        if here and (moment, trainer.global_step) == (self.moment, self.at):
            self.told = True
            if self.number == signal.SIGINT and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in `command &`
                signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), self.number)


class LeaveHalf(Callback):
    """Leaves what a process leaves that is killed while it saves."""

    def on_train_start(self, trainer, pl_module) -> None:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        folder.mkdir(exist_ok=True)
        (folder / "preempted.ckpt.partial").write_bytes(b"half")


class Done(Callback):
    """Writes a line for every step and validation of the first rank."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._write(trainer, f"step {trainer.global_step}")

    def on_validation_end(self, trainer, pl_module) -> None:
        self._write(trainer, f"validation {trainer.global_step}")

    def _write(self, trainer, line: str) -> None:
        if trainer.is_global_zero:
            with (Path(trainer.default_root_dir) / "done").open("a") as stream:
                stream.write(f"{line}\n")
