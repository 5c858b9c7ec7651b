"""Linear prediction of features of the sound from the steps of an aligner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

PENALTIES = (1e-3, 1e-2, 0.1, 1.0, 10.0)
"""Penalties to choose from, as multiples of the variance of each input."""
DEFAULT_PENALTY = 0.1
"""Penalty without validation data."""


class StepRegression(nn.Module):
    """Linear map from steps of EEG to features of the sound in the same step, with neighbouring steps as inputs.

    It is the backward model of Crosse et al. 2016 on learned features. The response follows the sound by up to half a
    second, so most of the neighbouring steps are later ones.

    Args:
        features: Values of a step, E.
        outputs: Features of the sound in a step, O.
        before: Earlier steps.
        after: Later steps.
    """

    fitted: Tensor

    def __init__(self, features: int, outputs: int, before: int = 1, after: int = 4) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.linear = nn.Linear(features * (before + 1 + after), outputs)
        self.register_buffer("fitted", torch.tensor(False))

    def inputs(self, steps: Tensor) -> Tensor:
        """Each step with its neighbours, (B, L, E) to (B, L, E * W); steps outside of the window are zero."""
        padded = F.pad(steps.float(), (0, 0, self.before, self.after))
        return rearrange(padded.unfold(1, self.before + 1 + self.after, 1), "b l e w -> b l (e w)")

    def forward(self, steps: Tensor) -> Tensor:
        """Predict features of the sound, (B, L, E) to (B, L, O)."""
        predicted: Tensor = self.linear(self.inputs(steps))
        return predicted


@dataclass
class RegressionMoments:
    """Sums over steps, from which a ``StepRegression`` is fitted and its error computed.

    Attributes:
        regression: Whose inputs.
        inputs: Products of the inputs and a constant, (I + 1, I + 1).
        cross: Their products with the targets, (I + 1, O).
        targets: Squares of the targets, (O,).
    """

    regression: StepRegression
    inputs: Tensor
    cross: Tensor
    targets: Tensor

    @classmethod
    def of(cls, regression: StepRegression) -> RegressionMoments:
        """Without any step."""
        size, outputs = regression.linear.in_features + 1, regression.linear.out_features
        sums = (torch.zeros(shape, dtype=torch.float64) for shape in ((size, size), (size, outputs), (outputs,)))
        return cls(regression, *sums)

    def add(self, steps: Tensor, targets: Tensor) -> None:
        """Add windows, (B, L, E) and (B, L, O); windows with values that are not finite are left out."""
        finite = steps.isfinite().flatten(1).all(1) & targets.isfinite().flatten(1).all(1)
        x = self.regression.inputs(steps[finite]).flatten(0, 1)
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1).cpu().double()
        y = targets[finite].flatten(0, 1).cpu().double()
        self.inputs += x.T @ x
        self.cross += x.T @ y
        self.targets += y.square().sum(0)

    @property
    def count(self) -> float:
        """Number of steps."""
        return float(self.inputs[-1, -1])

    def solve(self, penalty: float) -> Tensor:
        """Coefficients of the inputs and the constant, (I + 1, O)."""
        means = self.inputs[-1] / max(self.count, 1)
        centred = self.inputs[:-1, :-1] - self.count * torch.outer(means[:-1], means[:-1])
        cross = self.cross[:-1] - torch.outer(means[:-1], self.cross[-1])
        variance = centred.diagonal()
        scale = torch.where(variance > 1e-9 * self.inputs.diagonal()[:-1], variance, torch.inf).clamp(min=1e-30).rsqrt()
        standardised = scale[:, None] * centred * scale + penalty * torch.eye(len(scale), dtype=torch.float64)
        weights = scale[:, None] * torch.linalg.solve(standardised, scale[:, None] * cross)
        constant = self.cross[-1] / max(self.count, 1) - means[:-1] @ weights
        return torch.cat([weights, constant[None]])

    def explained(self, coefficients: Tensor) -> float:
        """Fraction of the variance of the targets that coefficients explain in these windows."""
        error = self.targets - 2 * (coefficients * self.cross).sum(0)
        error = error + (coefficients * (self.inputs @ coefficients)).sum(0)
        variance = self.targets - self.cross[-1].square() / max(self.count, 1)
        return 1 - float(error.sum() / variance.sum().clamp(min=1e-30))


@torch.no_grad()
def fit_step_regression(
    train: RegressionMoments, validation: RegressionMoments, penalties: Iterable[float] = PENALTIES
) -> tuple[float, float]:
    """Fit the regression of some training windows, with the penalty that predicts validation windows best.

    Returns:
        The penalty, and the explained fraction of the variance in validation windows, or without any in training.
    """
    found = {penalty: train.solve(penalty) for penalty in (penalties if validation.count else (DEFAULT_PENALTY,))}
    of = validation if validation.count else train
    explained = {penalty: of.explained(coefficients) for penalty, coefficients in found.items()}
    best = max(explained, key=explained.__getitem__)
    linear = train.regression.linear
    linear.weight.copy_(found[best][:-1].T)
    linear.bias.copy_(found[best][-1])
    train.regression.fitted.fill_(True)
    return best, explained[best]
