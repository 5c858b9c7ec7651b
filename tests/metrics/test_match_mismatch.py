from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from spaces import comparison, embeddings

from eeg2speech.metrics import PROTOCOL_2023, PROTOCOL_2024, Protocol, match_mismatch, permutation_null
from eeg2speech.metrics.match_mismatch import imposters, match_scores

PROTOCOLS = [PROTOCOL_2023, PROTOCOL_2024]
START = np.arange(9) * 3.0


def test_2023_follows_the_match_after_a_second_or_precedes_it():
    seconds = np.arange(0, 20, 1.0)
    assert imposters(seconds, 5, 3.0, PROTOCOL_2023).tolist() == [9]  # the match ends at 8
    assert imposters(seconds, 18, 3.0, PROTOCOL_2023).tolist() == [14]  # no room behind: four seconds before
    assert imposters(np.array([0.0, 3.0]), 0, 3.0, PROTOCOL_2023).size == 0


def test_2024_takes_any_sound_that_does_not_overlap():
    seconds = np.arange(0, 10, 1.0)
    assert imposters(seconds, 4, 3.0, PROTOCOL_2024).tolist() == [0, 1, 7, 8, 9]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_imposter_is_a_match_elsewhere(protocol):
    compared = embeddings(np.random.default_rng(0), stories=2, sounds=9).compare()
    matches = set(range(9))
    shown = {int(i) for match in range(9) for i in imposters(START, match, 3.0, protocol)}
    assert shown <= matches
    assert set(compared.target[compared.stimulus == 0]) == matches


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_order_of_candidates_does_not_matter(protocol):
    rng = np.random.default_rng(0)
    similarity, order = rng.normal(size=(9, 9)).astype(np.float32), rng.permutation(9)
    mixed = match_scores(similarity[:, order], START[order], 3.0, protocol)
    np.testing.assert_allclose(mixed, match_scores(similarity, START, 3.0, protocol)[:, order])


def test_five_candidates_equal_every_choice_of_imposters():
    similarity = np.random.default_rng(0).integers(0, 6, (9, 9)).astype(np.float32) / 6  # with ties
    found = match_scores(similarity, START, 3.0, PROTOCOL_2024)
    for row, match in np.ndindex(9, 9):
        wins = []
        for chosen in combinations([i for i in range(9) if i != match], 4):
            rivals, true = similarity[row, list(chosen)], similarity[row, match]
            wins.append(0 if (rivals > true).any() else 1 / (1 + (rivals == true).sum()))
        assert found[row, match] == pytest.approx(np.mean(wins))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_constant_perfect_and_random_models(protocol):
    points = embeddings(np.random.default_rng(0), subjects=6, stories=8, sounds=9, width=64)
    constant = replace(points, eeg=np.zeros_like(points.eeg)).compare()
    found = match_mismatch(constant, 3.0, protocol)
    np.testing.assert_allclose(found.accuracy, found.chance)
    perfect = match_mismatch(replace(points, eeg=points.sound).compare(), 3.0, protocol)
    np.testing.assert_allclose(perfect.accuracy, 1)
    blind = match_mismatch(points.compare(), 3.0, protocol)
    assert np.mean(blind.accuracy) == pytest.approx(blind.chance, abs=0.06)
    assert 0.01 < permutation_null(blind.pairs).p < 1


def test_a_preference_for_some_sounds_gains_nothing():
    liking = np.random.default_rng(0).normal(size=200)
    compared = comparison(np.tile(liking, (200, 1)), start=3.0 * np.arange(200))
    assert np.mean(match_mismatch(compared, 3.0, PROTOCOL_2024).accuracy) == pytest.approx(0.2, abs=1e-3)
    assert np.mean(match_mismatch(compared, 3.0, PROTOCOL_2023).accuracy) == pytest.approx(0.5, abs=0.05)


def test_it_reports_the_window_and_gap_that_were_used():
    found = match_mismatch(comparison(np.eye(9), start=3.2 * np.arange(9)), 3.2, PROTOCOL_2023)
    assert found.duration == 3.2
    assert found.gap == pytest.approx(3.2)  # the next window that leaves a second
    assert found.chance == 0.5
    assert match_mismatch(comparison(np.eye(9)), 3.0, PROTOCOL_2024).gap is None


def test_a_short_story_has_no_accuracy_and_does_not_count():
    compared = comparison(np.eye(11), stimulus=[0] * 9 + [1] * 2, start=[*START, 0, 3])
    found = match_mismatch(compared, 3.0, PROTOCOL_2024)
    assert np.isnan(found.accuracy[9:]).all()
    null = permutation_null(found.pairs, 100)
    assert null.total == 9
    assert null.observed == pytest.approx(np.nanmean(found.accuracy))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pairs_hold_the_accuracy_of_every_pairing(protocol):
    compared = embeddings(np.random.default_rng(0), subjects=2, stories=1, sounds=9, signal=0.4).compare()
    found = match_mismatch(compared, 3.0, protocol)
    order = np.random.default_rng(1).permutation(9)
    mixed = replace(compared, target=order[compared.target])
    expected = match_mismatch(mixed, 3.0, protocol).accuracy.sum()
    assert found.pairs[0].scores[np.arange(9), order].sum() == pytest.approx(expected)


def test_impossible_protocols_and_missing_starts_are_refused():
    with pytest.raises(ValueError, match="candidates=5"):
        Protocol("2025", 3.0, 5, gap=1.0)
    with pytest.raises(ValueError, match="start of each sound"):
        match_mismatch(comparison(np.eye(3), start=[np.nan] * 3), 3.0, PROTOCOL_2024)
