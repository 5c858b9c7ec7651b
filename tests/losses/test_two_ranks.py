"""Two processes find what one finds that holds the whole batch."""

from __future__ import annotations

import pytest
import torch
from two_ranks import KEYS, LOSSES, ROWS, Model, data, run, step

from eeg2speech.losses.pairs import count_rows, gather_rows


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return run(tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradients_are_those_of_one_process(ranks, loss, key, rows):
    expected = step(Model(loss), *data(), KEYS[key])
    for results in ranks:
        found = results[loss, key, rows]
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert value.abs().max() > 1e-6
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-12, msg=name)


def test_rows_are_joined_in_order_and_gradients_of_all_ranks_added(ranks):
    for results in ranks:
        assert results["gather"]["gathered"].tolist() == [[0, 0], [1, 1], [1, 1]]
    assert ranks[0]["gather"]["gradient"].tolist() == [[0, 11]]
    assert ranks[1]["gather"]["gradient"].tolist() == [[22, 33], [44, 55]]


def test_without_a_process_group_rows_stay_as_they_are():
    rows = torch.randn(3, 2)
    assert gather_rows(rows) is rows
    assert count_rows(rows) == [3]
