from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from eeg2speech.core.errors import DiskError
from eeg2speech.training.accumulated_gradients import Gradients, go_on_accumulating, half_accumulated
from eeg2speech.training.checkpoint_io import AtomicCheckpointIO

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")
_SCORES = ("best_model_path", "best_model_score", "current_score", "kth_best_model_path", "kth_value")

_GRADIENTS = "accumulated_gradients"


class AtomicCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, which keeps a run safe: ``best.ckpt`` and ``last.ckpt`` in ``<run>/checkpoints``.

    Every checkpoint of the run is written under another name and then renamed, including those that other callbacks
    save. If the disk is full, a best model that could not be written does not count as the best, so that the next
    model better than the file on the disk is saved. ``last.ckpt`` is written at every validation; Lightning's
    ModelCheckpoint writes it only together with the best, so that a run which stopped improving would resume from its
    last improvement.

    Args:
        monitor: Metric that decides which model is the best; unset: the latest.
        mode: ``min`` or ``max``.
        filename: Name of the best checkpoint, without its suffix.
        save_last: Also write ``last.ckpt``.
        auto_insert_metric_name: See Lightning.
        enable_version_counter: See Lightning.
        **kwargs: Other arguments of Lightning's ModelCheckpoint.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: str = "min",
        filename: str = "best",
        save_last: bool = True,
        auto_insert_metric_name: bool = False,
        enable_version_counter: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            monitor=monitor, mode=mode, filename=filename, save_last=save_last,
            auto_insert_metric_name=auto_insert_metric_name, enable_version_counter=enable_version_counter, **kwargs,
        )  # fmt: skip

    @property
    def state_key(self) -> str:
        """That of Lightning's, so that runs can be continued with either."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take over how the run writes and reads checkpoints."""
        if not isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO):
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which model is the best, also where the run's folder was moved with all that is in it.

        A run that goes on in another folder, without the best model, keeps the best of what it trains there.
        """
        here = Path(self.dirpath or ".")
        if (here / Path(state_dict.get("best_model_path", "")).name).is_file():
            models = {str(here / Path(file).name): score for file, score in state_dict.get("best_k_models", {}).items()}
            moved = {name: str(here / Path(state_dict[name]).name) for name in _PATHS if state_dict.get(name)}
            super().load_state_dict({**state_dict, **moved, "best_k_models": models, "dirpath": self.dirpath})

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what a step has accumulated so far."""
        if trainer.state.fn == "fit" and (gradients := half_accumulated(trainer, pl_module)):
            checkpoint[_GRADIENTS] = gradients

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take it up."""
        self._gradients: list[Gradients] = checkpoint.get(_GRADIENTS, [])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on where the step stopped."""
        super().on_train_start(trainer, pl_module)
        go_on_accumulating(trainer, pl_module, self.__dict__.pop("_gradients", []))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best, then the last."""
        super().on_validation_end(trainer, pl_module)
        if not self._should_save_on_train_epoch_end(trainer):
            self._keep_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best, then the last, where epochs decide."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer):
            self._keep_last(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what was trained since the last validation."""
        super().on_train_end(trainer, pl_module)
        self._keep_last(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End with an error if what was trained is not on the disk; all ranks together.

        Raises:
            DiskError: The disk was full at the end.
        """
        io = trainer.strategy.checkpoint_io
        lost = bool(self.save_last) and isinstance(io, AtomicCheckpointIO) and io.failed
        if trainer.strategy.reduce_boolean_decision(lost, all=False):
            raise DiskError(
                f"{self.dirpath}: the end of the training could not be saved; free some space and go on from the last "
                "checkpoint that could (--ckpt_path auto)"
            )

    def _keep_last(self, trainer: pl.Trainer) -> None:
        if self.save_last and not self._should_skip_saving_checkpoint(trainer):  # which knows of this step's saves
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def _update_best_and_save(
        self, current: Tensor, trainer: pl.Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        before: dict[str, Any] = {name: getattr(self, name) for name in _SCORES if hasattr(self, name)}
        models = dict(self.best_k_models)
        super()._update_best_and_save(current, trainer, monitor_candidates)
        io = trainer.strategy.checkpoint_io
        failed = isinstance(io, AtomicCheckpointIO) and io.failed  # known to the first rank, which alone writes
        if trainer.strategy.reduce_boolean_decision(failed, all=False):
            self.best_k_models = models
            for name, value in before.items():
                setattr(self, name, value)
