from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from eeg2speech.checkpoints.parts import canonical
from eeg2speech.core.errors import ConfigError


class AverageTrained(Callback):
    """Exponential moving average of the trained weights, which is validated and saved.

    The ``state_dict`` of a checkpoint holds the average, which tests and later stages use; ``trained_weights`` holds
    the weights that training resumes from.

    Lightning's ``EMAWeightAveraging`` cannot replace it: it copies the whole module and saves both copies in each
    checkpoint, frozen parts included, and a checkpoint that is saved within a validation, in which average and trained
    weights are exchanged, would resume training from the average.

    Reference: Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging.

    Args:
        decay: Decay of the average per step. It is lower in the first steps, so that early weights have no lasting
            influence.

    Raises:
        ConfigError: The decay is not in [0, 1).
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"decay={decay} is not in [0, 1) (AverageTrained.decay)")
        self.decay = decay
        self.updates = 0
        self.average: dict[str, Tensor] = {}
        self._swapped = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the current weights, unless the average was read from a checkpoint."""
        trained = _trained(pl_module)
        if self.average:
            self.average = {name: value.to(trained[name].device) for name, value in self.average.items()}
        else:
            self.average = {name: value.detach().clone() for name, value in trained.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after each optimizer step."""
        if trainer.global_step <= self.updates:
            return
        self.updates = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        trained = _trained(pl_module)
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average([self.average[name] for name in trained], list(trained.values()), 0)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate with the average."""
        self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Continue training with the trained weights."""
        self._swap(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into ``state_dict`` and the trained weights into ``trained_weights``."""
        if not self.average:
            return
        state = checkpoint["state_dict"]
        names = {canonical(name): name for name in state}
        in_module = {name: state[names[name]] for name in self.average}
        average, trained = (in_module, self.average) if self._swapped else (self.average, in_module)
        checkpoint["trained_weights"] = trained
        checkpoint["state_dict"] = {**state, **{names[name]: value for name, value in average.items()}}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the average from ``state_dict``, and the weights that training resumes from."""
        trained = checkpoint.get("trained_weights")
        if trained is None or trainer.state.fn != "fit":
            return
        state = {canonical(name): value for name, value in checkpoint["state_dict"].items()}
        self.average = {name: state[name].clone() for name in trained}
        with torch.no_grad():
            for name, value in _trained(pl_module).items():
                value.copy_(trained[name])

    def state_dict(self) -> dict[str, Any]:
        """Number of updates of the average."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of updates."""
        self.updates = state_dict["updates"]

    @torch.no_grad()
    def _swap(self, pl_module: pl.LightningModule) -> None:
        """Exchange the average and the trained weights in place."""
        self._swapped = not self._swapped
        for name, value in _trained(pl_module).items():
            if name in self.average:
                kept = value.clone()
                value.copy_(self.average[name])
                self.average[name].copy_(kept)


def _trained(module: pl.LightningModule) -> dict[str, Tensor]:
    """The weights that are trained, by canonical name."""
    return {canonical(name): value for name, value in module.named_parameters() if value.requires_grad}
