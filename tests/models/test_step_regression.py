"""Regression from steps of EEG to features of the sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from eeg2speech.models.audio.step_regression import PENALTIES, RegressionMoments, StepRegression, fit_step_regression

E, OUTPUTS, STEPS = 3, 2, 9


def windows(count: int, seed: int, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """Steps of very different spread, and targets that depend on this step and the one after the next."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, STEPS, E, generator=generator) * torch.tensor([1.0, 100.0, 0.01]) + 2
    mixing = torch.tensor([[1.0, 0.5], [0.01, -0.02], [30.0, 0.0]])
    later = torch.nn.functional.pad(steps, (0, 0, 0, 2))[:, 2:]
    targets = (steps - later) @ mixing + 7 + noise * torch.randn(count, STEPS, OUTPUTS, generator=generator)
    return steps, targets


def moments(regression: StepRegression, *batches: tuple[Tensor, Tensor]) -> RegressionMoments:
    found = RegressionMoments.of(regression)
    for batch in batches:
        found.add(*batch)
    return found


@pytest.mark.parametrize("penalty", PENALTIES)
def test_it_is_ridge_regression_on_standardised_inputs(penalty: float):
    regression = StepRegression(E, OUTPUTS, before=1, after=2)
    steps, targets = windows(20, 0)
    of = moments(regression, (steps[:5], targets[:5]), (steps[5:], targets[5:]))
    fit_step_regression(of, RegressionMoments.of(regression), ())  # the default penalty
    coefficients = of.solve(penalty)
    # one by one: this step, the one before and two later ones, zero outside of the window
    padded = np.pad(steps.double().numpy(), ((0, 0), (1, 2), (0, 0)))
    x = np.array([padded[b, i : i + 4].T.ravel() for b in range(20) for i in range(STEPS)])
    y = targets.double().numpy().reshape(-1, OUTPUTS)
    mean, spread = x.mean(0), x.std(0)
    ridge = Ridge(penalty * len(x)).fit((x - mean) / spread, y)
    expected = (ridge.coef_ / spread).T
    np.testing.assert_allclose(coefficients[:-1].numpy(), expected, rtol=1e-3, atol=1e-5)
    predicted = ridge.predict((x - mean) / spread)
    np.testing.assert_allclose(
        x @ coefficients[:-1].numpy() + coefficients[-1].numpy(), predicted, rtol=1e-3, atol=1e-3
    )
    explained = 1 - ((y - predicted) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()
    assert of.explained(coefficients) == pytest.approx(explained, abs=1e-4)


def test_the_penalty_is_the_one_that_predicts_validation_windows_best():
    penalties = {}
    for noise in (0.01, 300.0):
        regression = StepRegression(E, OUTPUTS, before=1, after=2)
        train, validation = (moments(regression, windows(8, seed, noise)) for seed in (1, 2))
        penalties[noise], explained = fit_step_regression(train, validation)
        assert bool(regression.fitted)
        assert explained == max(validation.explained(train.solve(penalty)) for penalty in PENALTIES)
        steps, targets = windows(8, 2, noise)
        error = (regression(steps) - targets).square().sum() / (targets - targets.mean((0, 1))).square().sum()
        assert explained == pytest.approx(1 - error.item(), abs=1e-3)
    assert penalties[0.01] == PENALTIES[0]
    assert penalties[300.0] == PENALTIES[-1]


def test_windows_that_are_not_finite_are_left_out():
    regression = StepRegression(E, OUTPUTS)
    steps, targets = windows(6, 0)
    whole = moments(regression, (steps[:4], targets[:4]))
    steps[4, 0, 0], targets[5, 0, 0] = torch.nan, torch.inf
    assert torch.equal(moments(regression, (steps, targets)).inputs, whole.inputs)


def test_a_constant_input_does_no_harm():
    regression = StepRegression(E, OUTPUTS)
    steps, targets = windows(20, 0, noise=0.01)
    steps[:, :, 1] = 0.0
    fit_step_regression(moments(regression, (steps, targets)), RegressionMoments.of(regression))
    assert regression(steps).isfinite().all()
    assert regression.linear.weight.abs().max() < 1e3
