from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from eeg2speech.checkpoints.parts import canonical
from eeg2speech.core.errors import ConfigError


class AverageTrained(Callback):
    """Keeps a moving average of the weights that are trained, validates with it and saves it.

    A checkpoint's ``state_dict`` holds the average, which tests and later use take; the weights that training goes on
    with stand beside it. Lightning's own callback copies the whole model, frozen parts included.

    Reference: Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging.

    Args:
        decay: Of the average in a step; at first it is lower, so that early weights are forgotten soon.

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
        """Start from the weights as they are, unless a checkpoint brought an average."""
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in _trained(pl_module).items()}
        else:
            here = _trained(pl_module)
            self.average = {name: value.to(here[name].device) for name, value in self.average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average after each optimizer step."""
        if trainer.global_step <= self.updates:
            return
        self.updates = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        here = _trained(pl_module)
        torch._foreach_lerp_([self.average[name] for name in here], list(here.values()), 1 - decay)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate with the average."""
        self._swap(pl_module)
        self._swapped = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the weights of training."""
        self._swap(pl_module)
        self._swapped = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into ``state_dict`` and the weights of training beside it."""
        kept = self.average
        if not kept:
            return
        state = checkpoint["state_dict"]
        names = {canonical(name): name for name in state}
        here = {name: state[names[name]] for name in kept}
        average, training = (here, kept) if self._swapped else (kept, here)
        checkpoint["trained_weights"] = training
        checkpoint["state_dict"] = {**state, **{names[name]: value for name, value in average.items()}}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the average from ``state_dict`` and give the model the weights that training goes on with."""
        training = checkpoint.get("trained_weights")
        if training is None or trainer.state.fn != "fit":
            return
        state = {canonical(name): value for name, value in checkpoint["state_dict"].items()}
        here = _trained(pl_module)
        self.average = {name: state[name].clone() for name in training}
        with torch.no_grad():
            for name, value in here.items():
                value.copy_(training[name])

    def state_dict(self) -> dict[str, Any]:
        """How often the average was moved."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.updates = state_dict["updates"]

    def _swap(self, pl_module: pl.LightningModule) -> None:
        with torch.no_grad():
            for name, value in _trained(pl_module).items():
                if name in self.average:
                    kept = value.clone()
                    value.copy_(self.average[name])
                    self.average[name].copy_(kept)


def _trained(module: pl.LightningModule) -> dict[str, Tensor]:
    return {canonical(name): value for name, value in module.named_parameters() if value.requires_grad}
