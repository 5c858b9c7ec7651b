from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class NormalizedMSE(Metric):
    """Mean squared error over the variance of the target: predicting the mean scores 1.

    Sums are accumulated over the whole split, so that the value does not depend on the batches.
    """

    higher_is_better = False
    full_state_update = False
    error: Tensor
    total: Tensor
    square: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("error", "total", "square", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, weight: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: Any shape.
            target: Same shape.
            weight: 1 for samples that count, else 0; same shape.
        """
        weight = weight.double()
        target = target.double() * weight
        self.error += ((prediction.double() * weight - target).square()).sum()
        self.total += target.sum()
        self.square += target.square().sum()
        self.count += weight.sum()

    def compute(self) -> Tensor:
        """Error over variance, a scalar."""
        variance = self.square - self.total.square() / self.count
        return (self.error / variance).float()
