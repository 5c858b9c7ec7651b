"""At which step a run stands, and at which of its validations it is shown."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from eeg2speech.core.errors import ConfigError


def step_of(trainer: pl.Trainer, module: pl.LightningModule) -> int:
    """Optimizer steps that the weights have seen: of a test, those of the checkpoint, which the trainer forgets."""
    return trainer.global_step or int(getattr(module, "trained_steps", 0))


class Occasions:
    """Which validations of a run are shown: the first, and others spread evenly up to the last, however long it is.

    Pictures and sounds of every validation would make the event file of a long run grow without end, while TensorBoard
    shows ten of a kind.

    Args:
        most: How many; 0 for none.

    Raises:
        ConfigError: There is no room for both the first and the last, or a number below 0.
    """

    def __init__(self, most: int) -> None:
        if most < 0 or most == 1:
            raise ConfigError(f"occasions={most} must be 0, or 2 or more: the first and the last (trainer.callbacks)")
        self.most = most
        self._last: int | None = None

    def due(self, trainer: pl.Trainer) -> bool:
        """Whether the validation that runs now is to be shown; one outside of training always is, if any are."""
        if not self.most or trainer.state.fn != "fit":
            return bool(self.most)
        step, last = trainer.global_step, self._last
        if last is None or step == last or self._stretch(step, trainer) > self._stretch(last, trainer):
            self._last = step
            return True
        return False

    def state_dict(self) -> dict[str, Any]:
        """When there was one last, for checkpoints: a run that is stopped often is not shown more often."""
        return {"last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._last = state["last"]

    def _stretch(self, step: int, trainer: pl.Trainer) -> int:
        """In which of equal parts of the run a step lies."""
        return int((self.most - 1) * step // trainer.estimated_stepping_batches)
