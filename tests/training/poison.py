"""A callback that tests of skipped steps load into a run."""

from __future__ import annotations

import torch
from lightning.pytorch.callbacks import Callback


class Poison(Callback):
    """Spoils some steps, and looks whether they changed anything.

    Args:
        steps: Which.
        what: The ``eeg`` of one window, or the ``gradient``.
    """

    def __init__(self, steps: list[int], what: str = "eeg", rank: int = 0) -> None:
        self.steps, self.what, self.rank = steps, what, rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.before = self.look(trainer, pl_module)
        self.step = trainer.global_step
        if self.step in self.steps and self.what == "eeg" and trainer.global_rank == self.rank:
            batch["eeg"][1] = float("nan")

    def on_after_backward(self, trainer, pl_module) -> None:
        if trainer.global_step in self.steps and self.what == "gradient" and trainer.global_rank == self.rank:
            next(p for p in pl_module.parameters() if p.grad is not None).grad.view(-1)[0] = float("inf")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        after = self.look(trainer, pl_module)
        same = len(after) == len(self.before) and all(
            torch.equal(a, b) for a, b in zip(self.before, after, strict=True)
        )
        assert same == (self.step in self.steps)
        assert trainer.global_step == self.step + 1

    def on_train_end(self, trainer, pl_module) -> None:
        assert trainer.callback_metrics["train/skipped"] == len(self.steps)

    def look(self, trainer, pl_module) -> list[torch.Tensor]:
        states = [v for state in trainer.optimizers[0].state.values() for v in state.values()]
        return [torch.as_tensor(value).detach().clone() for value in (*pl_module.parameters(), *states)]
