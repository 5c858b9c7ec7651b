"""The diffusion loss against what it says it is."""

from __future__ import annotations

import pytest
import torch

from eeg2speech.losses.mse import DiffusionLoss

RANDOM = torch.Generator().manual_seed(0)


def drawn(count: int = 6):
    latents, noise = (torch.randn(count, 8, 12, 16, generator=RANDOM) for _ in range(2))
    signal = torch.linspace(0.001, 0.999, count)
    share = signal.view(-1, 1, 1, 1)
    return latents, noise, signal, share.sqrt() * latents + (1 - share).sqrt() * noise


@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_both_predictions_weigh_the_error_of_the_clean_latents_alike(gamma: float):
    """A wrong guess of the clean latents costs the same, whether it is told as noise or as velocity."""
    latents, noise, signal, noisy = drawn()
    guess = latents + 0.1 * torch.randn(latents.shape, generator=RANDOM)
    share = signal.view(-1, 1, 1, 1)
    as_noise = (noisy - share.sqrt() * guess) / (1 - share).sqrt()
    as_velocity = share.sqrt() * as_noise - (1 - share).sqrt() * guess
    loss = DiffusionLoss(gamma)
    found = [
        loss(predicted[i : i + 1], latents[i : i + 1], noise[i : i + 1], signal[i : i + 1], kind)
        for i in range(len(signal))
        for predicted, kind in ((as_noise, "epsilon"), (as_velocity, "v_prediction"))
    ]
    epsilon, velocity = torch.stack(found[::2]), torch.stack(found[1::2])
    ratio = signal / (1 - signal)
    error = (guess - latents).square().flatten(1).mean(1)
    if gamma:
        assert torch.allclose(epsilon, velocity, rtol=1e-2)
        assert torch.allclose(epsilon, ratio.clamp(max=gamma) * error, rtol=1e-2)
    else:
        assert torch.allclose(epsilon, ratio * error, rtol=1e-2)
        assert torch.allclose(velocity, (ratio + 1) * error, rtol=1e-2)


def test_the_right_answer_costs_nothing():
    latents, noise, signal, _ = drawn()
    share = signal.view(-1, 1, 1, 1)
    velocity = share.sqrt() * noise - (1 - share).sqrt() * latents
    assert DiffusionLoss()(noise, latents, noise, signal, "epsilon") == 0
    assert DiffusionLoss()(velocity, latents, noise, signal, "v_prediction") == pytest.approx(0, abs=1e-12)
