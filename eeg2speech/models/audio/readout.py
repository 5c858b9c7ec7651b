"""A linear map between two spaces, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RIDGE = 1e-3
"""Of the readout's fit, as a multiple of the mean variance of a feature."""


def fit_linear_map(layer: nn.Linear, inputs: Tensor, targets: Tensor) -> float:
    """Give a layer the weights of ridge regression.

    Args:
        layer: Is changed in place.
        inputs: (n, features).
        targets: (n, outputs).

    Returns:
        Share of the variance of the targets that is explained.
    """
    x, y = inputs.double(), targets.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    gram = x.T @ x
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, x.T @ y)
    left = (y - x @ weight).square().sum() / y.square().sum()
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(mean_y - mean_x @ weight)
    return 1 - float(left)
