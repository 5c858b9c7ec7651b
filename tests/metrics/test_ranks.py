from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.metrics.ranks import (
    Ranks,
    chance,
    position,
    rank_eeg,
    rank_every_sound,
    rank_sounds,
    reciprocal,
    score,
    top,
)

RNG = np.random.default_rng(0)
# few different values, so that there are ties
SIMILARITY = (RNG.integers(0, 8, (40, 12)) / 8).astype(np.float32)
TARGET = RNG.integers(0, 12, 40)
SUBJECT = RNG.integers(0, 3, 40)


def one(above, tied, size):
    return Ranks(np.array([above]), np.array([tied]), np.array([size]))


def test_eeg_to_sound_equals_a_loop():
    ranks = rank_sounds(SIMILARITY, TARGET)
    for row, (line, target) in enumerate(zip(SIMILARITY, TARGET, strict=True)):
        assert ranks.above[row] == sum(value > line[target] for value in line)
        assert ranks.tied[row] == sum(value == line[target] for value in line)
        assert ranks.size[row] == 12


def test_sound_to_eeg_equals_a_loop(monkeypatch):
    monkeypatch.setattr("eeg2speech.metrics.ranks._ROWS", 5)  # windows are compared in several parts
    ranks = rank_eeg(SIMILARITY, TARGET, SUBJECT)
    for row in range(40):
        sound = TARGET[row]
        others = [i for i in range(40) if SUBJECT[i] == SUBJECT[row] and TARGET[i] != sound]
        assert ranks.above[row] == sum(SIMILARITY[i, sound] > SIMILARITY[row, sound] for i in others)
        assert ranks.tied[row] == 1 + sum(SIMILARITY[i, sound] == SIMILARITY[row, sound] for i in others)
        assert ranks.size[row] == 1 + len(others)


def test_every_sound_is_ranked_as_if_it_were_the_target():
    sounds = np.array([7, 2, 11])
    above, tied = rank_every_sound(SIMILARITY, sounds)
    for column, sound in enumerate(sounds):
        ranks = rank_sounds(SIMILARITY, np.full(40, sound))
        np.testing.assert_array_equal(above[:, column], ranks.above)
        np.testing.assert_array_equal(tied[:, column], ranks.tied)


def test_rounding_of_equal_vectors_is_a_tie():
    row = np.full((1, 9), 0.5, np.float32) + np.float32(1e-7) * np.arange(9, dtype=np.float32)
    ranks = rank_sounds(row, np.array([4]))
    assert (ranks.above[0], ranks.tied[0]) == (0, 9)


def test_a_tie_is_worth_the_mean_over_its_orders():
    ranks = one(above=2, tied=3, size=10)  # rank 3, 4 or 5
    assert score(ranks, top(4)) == pytest.approx(2 / 3)
    assert score(ranks, reciprocal()) == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3)
    assert score(ranks, position()) == pytest.approx(4)


@pytest.mark.parametrize("table", [top(1), top(10), reciprocal(), position(), top(3, 5), reciprocal(5), position(5)])
def test_a_constant_model_is_exactly_at_chance(table):
    constant = np.full((40, 12), 0.3, np.float32)
    for ranks in (rank_sounds(constant, TARGET), rank_eeg(constant, TARGET, SUBJECT)):
        np.testing.assert_array_equal(score(ranks, table), chance(ranks, table))


def test_chance_is_that_of_published_papers():
    ranks = one(0, 1, 209)
    assert chance(ranks, top(10)) == pytest.approx(10 / 209)
    assert chance(ranks, top(10, 50)) == pytest.approx(10 / 50)
    assert chance(ranks, position()) == pytest.approx(105)
    assert chance(one(0, 1, 4), top(10)) == 1


@given(size=st.integers(1, 8), data=st.data())
def test_fixed_galleries_equal_all_subsets_that_hold_the_target(size, data):
    gallery = data.draw(st.integers(1, size))
    k = data.draw(st.integers(1, size + 1))
    rank = data.draw(st.integers(1, size))
    others = [r for r in range(1, size + 1) if r != rank]
    ranks = [1 + sum(r < rank for r in drawn) for drawn in combinations(others, gallery - 1)]
    ours = one(rank - 1, 1, size)
    assert score(ours, top(k, gallery))[0] == pytest.approx(np.mean(np.array(ranks) <= k))
    assert score(ours, reciprocal(gallery))[0] == pytest.approx(np.mean(1 / np.array(ranks)))
    assert score(ours, position(gallery))[0] == pytest.approx(np.mean(ranks))


@pytest.mark.parametrize("table", [top, lambda k, g: reciprocal(g)])
def test_the_whole_gallery_is_the_largest_fixed_one(table):
    whole, fixed = table(10, None)(2000), table(10, 2000)(2000)
    np.testing.assert_allclose(fixed, whole, atol=1e-9)
