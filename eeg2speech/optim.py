from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups of what is trained: weight decay for matrices, none for biases, norms and single vectors."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def warmup_cosine(warmup: int, total: int, floor: float = 0.0) -> Callable[[int], float]:
    """Factor of the learning rate by optimizer step: a linear warm-up, then half a cosine.

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
    """Learning rate that warms up linearly and falls with half a cosine, per optimizer step.

    Args:
        optimizer: To schedule.
        warmup: Steps of the warm-up.
        total: Steps of the run.
        floor: Factor at the end.
    """

    def __init__(self, optimizer: Optimizer, warmup: int, total: int, floor: float = 0.0) -> None:
        super().__init__(optimizer, warmup_cosine(warmup, total, floor))


def scaled_rate(rate: float, batch: int, reference: int) -> float:
    """Learning rate scaled linearly with the batch (Goyal et al. 2017, arXiv 1706.02677).

    Args:
        rate: At the reference batch.
        batch: Effective batch: windows per device x devices x accumulated steps.
        reference: Batch that ``rate`` was chosen for.
    """
    return rate * batch / reference


OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
