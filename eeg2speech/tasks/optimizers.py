from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def decay_groups(module: nn.Module, lr_scale: Callable[[str], float] | None = None) -> list[dict[str, Any]]:
    """Group the trainable parameters: weight decay for matrices, none for biases, norms and single vectors.

    Args:
        module: Module with the parameters.
        lr_scale: Learning rate as a multiple, by the parameter's name; groups hold it as ``relative_rate``.
    """
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        rate, decays = (1.0 if lr_scale is None else lr_scale(name)), parameter.ndim > 1
        group: dict[str, Any] = {"params": [], "relative_rate": rate} | ({} if decays else {"weight_decay": 0.0})
        groups.setdefault((rate, decays), group)["params"].append(parameter)
    return sorted(groups.values(), key=lambda group: (-group["relative_rate"], "weight_decay" in group))


def warmup_cosine(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Factor on the learning rate by optimizer step: a linear warm-up, then half a cosine.

    Args:
        warmup: Steps of the warm-up.
        total: Steps of the run.
        floor: Factor at the end.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor


class WarmupCosine(LambdaLR):
    """Learning rate with the factor of ``warmup_cosine``, whose other arguments it takes.

    Args:
        optimizer: Optimizer to schedule.
        warmup: Steps of the warm-up.
        total: Steps of the run.
        floor: Factor at the end.
    """

    def __init__(self, optimizer: Optimizer, warmup: int, total: int, floor: float = 0.0) -> None:
        super().__init__(optimizer, warmup_cosine(warmup, total, floor))


def scaled_rate(rate: float, batch: int, reference: int) -> float:
    """Learning rate scaled linearly with the batch (Goyal et al. 2017, arXiv 1706.02677).

    Args:
        rate: Learning rate at the reference batch.
        batch: Effective batch: windows per device x devices x accumulated steps.
        reference: Batch that ``rate`` was chosen for.
    """
    return rate * batch / reference
