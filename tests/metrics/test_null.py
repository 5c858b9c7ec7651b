from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from spaces import comparison, embeddings

from eeg2speech.metrics import permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import rank_sounds, reciprocal, score, top


def null(points, table=None, group=None, **kwargs):
    compared = points.compare()
    return permutation_null(retrieval_scores(compared, table or reciprocal(), group), **kwargs)


def listeners_apart(points):
    return points.subject * 1000 + points.stimulus


@pytest.mark.parametrize("table", [top(1), top(10), reciprocal()])
def test_the_observed_is_the_reported_figure(table):
    points = embeddings(np.random.default_rng(0), signal=0.5)
    compared = points.compare()
    expected = score(rank_sounds(compared.similarity, compared.target), table).mean()
    assert null(points, table, permutations=10).observed == pytest.approx(expected)


def test_draws_are_those_of_shuffled_targets():
    """Every reachable draw, found by shuffling the targets by hand."""
    points = embeddings(np.random.default_rng(0), subjects=2, stories=2, sounds=3, signal=0.5)
    compared = points.compare()
    values = set()
    for first in permutations(range(3)):
        for second in permutations(range(3, 6)):
            target = np.array(first + second)[compared.target]
            values.add(round(score(rank_sounds(compared.similarity, target), reciprocal()).mean(), 9))
    assert set(null(points, permutations=2000).draws.round(9)) == values


def test_each_story_keeps_its_sounds():
    block = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]
    split = null_of_identity(np.kron(np.eye(2), np.ones((3, 3))), stories=[0, 0, 0, 1, 1, 1])
    assert (split.draws == split.observed).all()
    assert split.p == 1
    assert null_of_identity(np.kron(np.eye(2), block), stories=[0, 0, 0, 1, 1, 1]).z > 0


def null_of_identity(similarity, stories):
    return permutation_null(retrieval_scores(comparison(similarity, stimulus=stories), top(3)), 200)


def test_a_single_sound_cannot_be_shuffled():
    compared = comparison(np.eye(5), stimulus=[0, 0, 0, 1, 2])
    found = permutation_null(retrieval_scores(compared, top(1)), 500)
    assert (found.windows, found.total) == (3, 5)
    assert found.draws.min() == pytest.approx(2 / 5)  # these two keep their sound
    alone = permutation_null(retrieval_scores(compared, top(1), np.arange(5)), 500)
    assert (alone.windows, alone.p) == (0, 1)
    assert np.isnan(alone.z)


def test_the_same_sound_twice_moves_together():
    compared = comparison([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], target=[0, 0, 1])
    found = permutation_null(retrieval_scores(compared, top(1)), 200)
    assert set(found.draws.round(6)) == {0, 1}


def test_sounds_are_in_the_order_of_their_start():
    compared = comparison(np.eye(4), start=[9, 0, 6, 3])
    by_time = np.array([1, 3, 2, 0])
    scores = retrieval_scores(compared, reciprocal())[0].scores
    expected = retrieval_scores(comparison(np.eye(4)[np.ix_(by_time, by_time)]), reciprocal())[0].scores
    np.testing.assert_allclose(scores, expected)


def test_it_sees_a_weak_alignment_and_repeats_a_seed():
    points = embeddings(np.random.default_rng(0), signal=0.5)
    found = null(points, seed=3)
    assert found.p == 1 / 1001
    assert found.z > 3
    assert found.observed > found.threshold > found.band[1] > found.band[0]
    assert found.ratio > 1.5
    np.testing.assert_array_equal(found.draws, null(points, seed=3).draws)


def rejections(shared, apart, trials):
    """How often the 99th percentile of the permutations is exceeded without any alignment."""
    count = 0
    for seed in range(trials):
        points = embeddings(np.random.default_rng(seed), subjects=20, stories=3, sounds=8, shared=shared)
        found = null(points, group=listeners_apart(points) if apart else None, seed=seed)
        count += found.observed > found.threshold
    return count


@pytest.mark.parametrize("shared", [0.0, 5.0])
def test_an_uninformed_model_exceeds_the_threshold_once_in_a_hundred(shared):
    """Also where listeners resemble each other. 3 expected of 300; 10 or more has a probability of .001."""
    assert rejections(shared, apart=False, trials=300) < 10


def test_permuting_each_subject_separately_is_anticonservative():
    """Twenty listeners who are one: the spread is 4.5 times what such shuffles suggest, so some 30 of 100."""
    assert rejections(5.0, apart=True, trials=100) > 10
