"""The step of a run, and callbacks that draw and play examples at some of its validations."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from eeg2speech.core.errors import ConfigError


def step_of(trainer: pl.Trainer, module: pl.LightningModule) -> int:
    """Optimizer steps that the weights were trained for; in a test those of the checkpoint."""
    return trainer.global_step or int(getattr(module, "trained_steps", 0))


class Occasions:
    """Chooses validations of a run: the first, the last, and others evenly spread between them.

    Figures and sounds of every validation would make the event file of a long run very large, while TensorBoard shows
    ten of a kind.

    Args:
        most: Number of validations; 0 for none.

    Raises:
        ConfigError: The number is below 0, or 1, which leaves no room for both the first and the last.
    """

    def __init__(self, most: int) -> None:
        if most < 0 or most == 1:
            raise ConfigError(f"occasions={most} must be 0, or 2 or more: the first and the last (trainer.callbacks)")
        self.most = most
        self._last: int | None = None

    def due(self, trainer: pl.Trainer) -> bool:
        """Whether the current validation is chosen; one outside of training always is, unless ``most`` is 0."""
        if not self.most or trainer.state.fn != "fit":
            return bool(self.most)
        step, last = trainer.global_step, self._last
        if last is None or step == last or self._interval(step, trainer) > self._interval(last, trainer):
            self._last = step
            return True
        return False

    def state_dict(self) -> dict[str, Any]:
        """Step of the last chosen validation: a run that is often interrupted chooses no more of them."""
        return {"last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the step of the last chosen validation."""
        self._last = state["last"]

    def _interval(self, step: int, trainer: pl.Trainer) -> int:
        """Index of the interval that a step lies in, of ``most - 1`` equal intervals of the run."""
        return int((self.most - 1) * step // trainer.estimated_stepping_batches)


class OccasionalCallback(Callback):
    """A callback that acts at some validations of a run; ``occasions`` is their number, see ``Occasions``."""

    def __init__(self, occasions: int) -> None:
        self.occasions = Occasions(occasions)

    def state_dict(self) -> dict[str, Any]:
        """The last chosen validation."""
        return self.occasions.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.occasions.load_state_dict(state_dict)
