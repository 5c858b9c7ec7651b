from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from eeg2speech.models import CrossDecoder, MaskedAutoencoder, ViTEncoder
from eeg2speech.tasks.optimizers import WarmupCosine, decay_groups, scaled_rate, warmup_cosine


def test_the_rate_rises_linearly_and_falls_with_half_a_cosine():
    factor = warmup_cosine(10, 110, floor=0.1)
    assert [factor(step) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factor(10) == 1.0
    assert factor(60) == pytest.approx(0.1 + 0.9 / 2)
    assert factor(35) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert factor(110) == pytest.approx(0.1)
    assert factor(1000) == pytest.approx(0.1)


@given(warmup=st.integers(0, 50), total=st.integers(1, 100), floor=st.floats(0, 1), step=st.integers(0, 300))
def test_the_factor_is_a_share_that_falls_after_the_warm_up(warmup, total, floor, step):
    factor = warmup_cosine(warmup, total, floor)
    assert 0 <= factor(step) <= 1
    if step >= warmup:
        assert factor(step + 1) <= factor(step)
        assert factor(step) >= floor - 1e-12


def test_the_schedule_sets_the_rate_of_every_group_at_once():
    groups = [{"params": [nn.Parameter(torch.zeros(2))], "lr": lr} for lr in (1.0, 0.5)]
    optimizer = torch.optim.SGD(groups)
    schedule = WarmupCosine(optimizer, 4, 12)
    rates = []
    for _ in range(13):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    expected = [warmup_cosine(4, 12)(step) for step in range(13)]
    assert [first for first, _ in rates] == pytest.approx(expected)
    assert [second for _, second in rates] == pytest.approx([0.5 * e for e in expected])


def test_a_resumed_schedule_goes_on():
    def make():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=1.0)
        return optimizer, WarmupCosine(optimizer, 4, 12)

    optimizer, schedule = make()
    for _ in range(6):
        optimizer.step()
        schedule.step()
    other, resumed = make()
    resumed.load_state_dict(schedule.state_dict())
    other.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        for o, s in ((optimizer, schedule), (other, resumed)):
            o.step()
            s.step()
    assert schedule.get_last_lr() == resumed.get_last_lr()
    assert all(isinstance(value, int | float | list | bool | None) for value in schedule.state_dict().values())


def test_matrices_decay_and_biases_norms_and_single_vectors_do_not():
    network = MaskedAutoencoder(ViTEncoder(width=16, depth=1, heads=2), CrossDecoder(width=12, depth=1, heads=2))
    network.encoder.embedding.requires_grad_(False)
    matrices, vectors = decay_groups(network)
    names = {id(p): name for name, p in network.named_parameters()}
    assert "weight_decay" not in matrices  # the optimizer's own
    assert vectors["weight_decay"] == 0.0
    decayed = {names[id(p)] for p in matrices["params"]}
    spared = {names[id(p)] for p in vectors["params"]}
    assert not decayed & spared
    assert decayed | spared == {n for n, p in network.named_parameters() if p.requires_grad}
    assert not any("embedding" in name for name in decayed | spared)
    assert all(name.endswith("bias") or "norm" in name or "token" in name for name in spared)
    assert not any(name.endswith(".bias") or "norm" in name or "token" in name for name in decayed)


def test_empty_groups_are_left_out():
    layer = nn.Linear(2, 2, bias=False)
    assert [len(group["params"]) for group in decay_groups(layer)] == [1]
    assert decay_groups(layer.requires_grad_(False)) == []


def test_the_rate_grows_with_the_batch():
    assert scaled_rate(2e-3, 64, 64) == 2e-3
    assert scaled_rate(2e-3, 256, 64) == pytest.approx(8e-3)
    assert scaled_rate(2e-3, 16, 64) == pytest.approx(5e-4)
