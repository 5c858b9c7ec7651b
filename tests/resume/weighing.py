from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.distributed.tensor import DTensor


class WeighTraining(Callback):
    """Writes how many bytes each rank holds for what is trained: weights, gradients, optimizer and their average.

    Into the run's folder; and what the last validation found, after how many batches.
    """

    def __init__(self) -> None:
        self.gradients = self.batches = 0

    def on_validation_batch_end(self, *_: Any) -> None:
        self.batches += 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._write(trainer, "metrics", {**metrics, "batches": self.batches})
        self.batches = 0

    def _write(self, trainer: pl.Trainer, name: str, content: dict[str, float]) -> None:
        file = Path(trainer.default_root_dir) / f"{name}.{trainer.world_size}.{trainer.global_rank}"
        file.write_text(json.dumps(content))

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        self.gradients = sum(held(p.grad) for p in pl_module.parameters() if p.grad is not None)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trained = [p for p in pl_module.parameters() if p.requires_grad]
        found = {
            "weights": sum(map(held, trained)),
            "gradients": self.gradients,
            "optimizer": sum(
                held(v) for s in trainer.optimizers[0].state.values() for k, v in s.items() if k != "step"
            ),
            "average": sum(held(v) for c in trainer.callbacks for v in getattr(c, "average", {}).values()),
        }
        self._write(trainer, "bytes", found)


def held(value: Tensor) -> int:
    here = value.to_local() if isinstance(value, DTensor) else value
    return here.numel() * here.element_size()
