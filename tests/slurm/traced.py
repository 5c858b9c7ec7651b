"""Callbacks that jobs of the tests load: they write down what happened, and make steps long enough to be met."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Trace(Callback):
    """Writes a line per rank for every start, step and validation.

    Args:
        pause: Seconds that a step takes longer, unless the job was started again.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = 0.0 if int(os.environ.get("SLURM_RESTART_COUNT", "0")) else pause

    def on_train_start(self, trainer, pl_module) -> None:
        environment = type(trainer.strategy.cluster_environment).__name__
        self._write(trainer, "start", f"{environment}:{trainer.global_rank}/{trainer.world_size}")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._write(trainer, "step", trainer.global_step)
        time.sleep(self.pause)

    def on_validation_end(self, trainer, pl_module) -> None:
        self._write(trainer, "validation", trainer.global_step)

    def _write(self, trainer, what: str, value: object) -> None:
        file = Path(trainer.default_root_dir).with_name(f"trace.{trainer.global_rank}")
        with file.open("a") as stream:
            stream.write(f"{os.environ.get('SLURM_RESTART_COUNT', '0')} {what} {value}\n")
