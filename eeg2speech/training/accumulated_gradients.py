"""Gradients of a step that is half accumulated: a checkpoint that falls into one is exact only with them."""

from __future__ import annotations

from collections.abc import Sequence

import lightning.pytorch as pl
import torch
from torch import Tensor

from eeg2speech.checkpoints.parts import canonical

Gradients = dict[str, Tensor]
"""By canonical name of the weight."""


def half_accumulated(trainer: pl.Trainer, module: pl.LightningModule) -> list[Gradients]:
    """Gradients so far, of each rank; none at the end of a step. All ranks must call it.

    Each rank has its own until the last batch of the step, in which they are averaged.
    """
    if trainer.accumulate_grad_batches == 1 or not trainer.fit_loop._should_accumulate():
        return []
    own = {canonical(n): p.grad.detach().cpu() for n, p in module.named_parameters() if p.grad is not None}
    if trainer.world_size == 1:
        return [own]
    everyones: list[Gradients] = [{} for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(everyones, own)
    return everyones


def go_on_accumulating(trainer: pl.Trainer, module: pl.LightningModule, everyones: Sequence[Gradients]) -> None:
    """Give the weights the gradients that a checkpoint kept; where ranks have changed in number there is no telling."""
    if len(everyones) != trainer.world_size:
        return
    own = everyones[trainer.global_rank]
    for name, parameter in module.named_parameters():
        if canonical(name) in own:
            parameter.grad = own[canonical(name)].to(parameter.device, parameter.dtype, copy=True)
