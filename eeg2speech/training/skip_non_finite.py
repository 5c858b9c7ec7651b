from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.files import written_beside
from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule

_NAMED = 8
"""Recordings that a message names at most."""


class SkipNonFinite(Callback):
    """Skips optimizer steps whose loss or gradient is not finite, and ends the run after too many in a row.

    One such step would turn every weight and the statistics of batch norms into NaN. If one rank has to skip, all do. A
    skipped step counts as a step of the run, so that the order of the data and the learning rate stay the same;
    ``train/skipped`` is the number of skipped steps. Their batches are written to ``<run>/nonfinite`` as safetensors,
    for inspection.

    Args:
        most: Skipped steps in a row after which the run ends.
        kept: Batches that are written at most, on each device.

    Raises:
        ConfigError: ``most`` is below 1, or ``kept`` below 0.
    """

    def __init__(self, most: int = 10, kept: int = 20) -> None:
        if most < 1 or kept < 0:
            raise ConfigError(f"most={most} is below 1 or kept={kept} below 0 (SkipNonFinite.most, SkipNonFinite.kept)")
        self.most, self.kept = most, kept
        self.skipped = self.in_a_row = 0
        self._batch: Batch | None = None
        self._losses: list[tuple[Batch, Tensor]] = []
        self._statistics: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch until its loss is known, and the statistics of batch norms as they are before the step."""
        self._batch = batch
        if not self._losses:  # the first of several batches that are accumulated
            self._statistics = [(buffer, buffer.clone()) for buffer in _statistics(pl_module)]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Keep the loss; reading its value now would make the CPU wait for the GPU."""
        assert self._batch is not None
        self._losses.append((self._batch, loss.detach()))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Skip the step if any rank has to."""
        batches, self._losses = self._losses, []
        numbers = [loss for _, loss in batches]
        if trainer.scaler is None:  # the scaler of fp16 skips steps that overflow, which it needs to find its scale
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            numbers.append(torch.nn.utils.get_total_norm(gradients).to(pl_module.device))
        wrong = not bool(torch.isfinite(torch.stack(numbers)).all())
        if trainer.world_size > 1:
            wrong = trainer.strategy.reduce_boolean_decision(wrong, all=False)
        self.in_a_row = self.in_a_row + 1 if wrong else 0
        self.skipped += wrong
        if wrong or trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log("train/skipped", float(self.skipped))
        if wrong:
            optimizer.zero_grad(set_to_none=True)  # without gradients the optimizer changes no weights and no moments
            for buffer, before in self._statistics:
                buffer.copy_(before)
            self._report(trainer, [batch for batch, loss in batches if not torch.isfinite(loss)])

    def state_dict(self) -> dict[str, Any]:
        """Number of skipped steps."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of skipped steps."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]

    def _report(self, trainer: pl.Trainer, batches: list[Batch]) -> None:
        """Write the batches, name their recordings, and end the run after ``most`` skipped steps in a row."""
        folder = Path(trainer.log_dir or trainer.default_root_dir) / "nonfinite"  # a collective: every rank calls it
        names = sorted({name for batch in batches for name in _recordings(trainer, batch)})
        for index, batch in enumerate(batches if self.skipped <= self.kept else []):
            _write(folder / f"step{trainer.global_step}-rank{trainer.global_rank}-{index}.safetensors", batch)
        if trainer.world_size > 1:
            of_ranks: list[list[str]] = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(of_ranks, names)
            names = sorted({name for own in of_ranks for name in own})
        shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        what = f"the loss of windows of {shown} is not finite" if names else "the gradient is not finite"
        if self.in_a_row < self.most:
            rank_zero_warn(f"Step {trainer.global_step} is skipped: {what} (batch written to {folder})")
            return
        raise DataError(
            f"{folder}: {self.in_a_row} steps in a row, up to step {trainer.global_step}, were skipped: {what}; look "
            "at these recordings with `eeg2speech doctor`, or lower model.optimizer.lr (SkipNonFinite.most)"
        )


def _statistics(module: nn.Module) -> list[Tensor]:
    """Buffers of the batch norms in training mode, which a forward pass changes."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    return [buffer for norm in norms for buffer in norm.buffers()]


def _recordings(trainer: pl.Trainer, batch: Batch) -> list[str]:
    """Names of the recordings of a batch; only those of windows that are not finite, if there are any."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    wrong = ~(torch.isfinite(batch["eeg"]).flatten(1).all(1) & torch.isfinite(batch["audio"]).flatten(1).all(1))
    indices = sorted(set(batch["recording"][wrong if wrong.any() else ~wrong].tolist()))
    if isinstance(data, EEGAudioDataModule):
        return [data.store.recordings[index].recording for index in indices]
    return [f"recording {index}" for index in indices]


def _write(file: Path, batch: Batch) -> None:
    # copies: safetensors does not write tensors that share memory
    tensors = {name: torch.clone(value.detach().cpu()) for name, value in batch.items() if isinstance(value, Tensor)}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as partial:
            partial.write_bytes(save(tensors))
    except OSError as error:
        rank_zero_warn(f"{file}: the batch is not written ({error.strerror})")
