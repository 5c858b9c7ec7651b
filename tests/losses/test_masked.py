from __future__ import annotations

import pytest
import torch

from eeg2speech.losses import masked_mse


def by_hand(prediction, target, weight):
    total = count = 0.0
    for p, t, w in zip(*(x.flatten().tolist() for x in (prediction, target, weight)), strict=True):
        if w:
            total, count = total + (p - t) ** 2, count + 1
    return total / count if count else 0.0


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01, 0.0])
def test_it_equals_a_loop(share):
    prediction, target = torch.randn(2, 3, 5, 8)
    weight = (torch.rand(3, 5, 8) < share).float()
    assert masked_mse(prediction, target, weight).item() == pytest.approx(by_hand(prediction, target, weight), abs=1e-6)


def test_samples_of_weight_zero_have_no_influence_and_no_gradient():
    prediction, target = torch.randn(2, 3, 5, 8)
    weight = torch.ones(3, 5, 8)
    weight[1, :, 4:] = 0
    weight[2] = 0
    expected = masked_mse(prediction, target, weight)
    target[weight == 0], prediction[weight == 0] = 1e6, -1e6
    prediction.requires_grad_()
    loss = masked_mse(prediction, target, weight)
    assert loss == expected
    loss.backward()
    assert (prediction.grad[weight == 0] == 0).all()
    assert (prediction.grad[weight > 0] != 0).all()


def test_a_batch_without_anything_to_predict_costs_nothing():
    prediction = torch.randn(2, 0, 8, requires_grad=True)
    loss = masked_mse(prediction, torch.zeros(2, 0, 8), torch.zeros(2, 0, 8))
    loss.backward()
    assert loss == 0
