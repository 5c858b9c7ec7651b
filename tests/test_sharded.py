"""Weights that are dealt out come together as they were, and go on from what one process has."""

from __future__ import annotations

import pytest
import torch
from two_shards import SHAPES, Weights, run

from eeg2speech import sharded


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return run(tmp_path_factory.mktemp("ranks"))


def test_each_process_holds_its_rows(ranks):
    for name, shape in SHAPES.items():
        held = [found["rows"][name] for found in ranks]
        assert sum(held) == shape[0]
        assert held[0] == -(-shape[0] // 2)
    assert ranks[0]["rows after"] == ranks[0]["rows"]  # also after they were together


def test_they_come_together_as_they_were(ranks):
    weights = Weights().state_dict()
    for name, value in weights.items():
        assert torch.equal(ranks[0]["whole"][name], value)
        assert torch.equal(ranks[0]["again"][name], 2 * value)
        assert all(torch.equal(found["gradients"][name], value) for found in ranks)


def test_processes_call_what_is_together_as_often_as_they_like(ranks):
    assert ranks[0]["alone"] == ranks[1]["alone"] == Weights().halved()


def test_what_is_not_dealt_out_passes_through():
    module, value = Weights(), torch.ones(3)
    sharded.gather(module)
    sharded.deal_out(module)
    assert not sharded.is_dealt_out(module)
    assert sharded.whole(value) is sharded.rows_of(value) is sharded.dealt_like(value, module.even) is value
    assert torch.equal(sharded.all_whole({"a": value})["a"], value)
