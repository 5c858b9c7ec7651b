from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from spaces import comparison, embeddings

from eeg2speech.metrics.identification import (
    identification_nulls,
    identification_report,
    identify,
    memorisation,
    nearest_training,
    step_embeddings,
)

RNG = np.random.default_rng(0)


def test_steps_count_alike_and_the_dot_product_is_the_mean_cosine():
    tokens, mean = RNG.normal(size=(4, 5, 2, 3)), RNG.normal(size=(2, 3))
    tokens[0, 1] *= 100
    embedded = step_embeddings(tokens, mean)
    assert embedded.shape == (4, 30)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-6)
    steps = (tokens - mean).reshape(4, 5, 6)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(steps[0], steps[1], strict=True)]
    assert embedded[0] @ embedded[1] == pytest.approx(np.mean(cosines), rel=1e-5)


def test_the_mean_token_itself_says_nothing_and_nonsense_stays_nonsense():
    mean = RNG.normal(size=(2, 3))
    flat = np.broadcast_to(mean, (1, 5, 2, 3))
    assert (step_embeddings(flat, mean) == 0).all()
    diverged = RNG.normal(size=(2, 5, 2, 3))
    diverged[0, 2], diverged[1, 0, 0, 0] = np.inf, np.nan
    assert np.isnan(step_embeddings(diverged, mean)).any(axis=1).all()


def _turned(compared, by, way):
    """Identification as if each clip were of the sound that comes ``by`` later in its story of six."""
    story, place = compared.target // 6, compared.target % 6
    return identify(replace(compared, target=6 * story + (place + by) % 6), way).mean()


@pytest.mark.parametrize("way", [1, 2, 3, 6])
def test_it_equals_every_choice_of_the_others(way):
    similarity = RNG.integers(0, 4, (5, 6)).astype(np.float32) / 4  # with ties
    target = RNG.integers(0, 6, 5)
    found = identify(comparison(similarity, target), way)
    for row in range(5):
        true, wins = similarity[row, target[row]], []
        for chosen in combinations([i for i in range(6) if i != target[row]], way - 1):
            rivals = similarity[row, list(chosen)]
            wins.append(0 if (rivals > true).any() else 1 / (1 + (rivals == true).sum()))
        assert found[row] == pytest.approx(np.mean(wins))


def test_the_report_knows_chance_and_leaves_out_what_the_gallery_is_too_small_for():
    blind = identification_report(embeddings(np.random.default_rng(1), subjects=6, stories=10, sounds=4).compare())
    assert list(blind) == [2, 10]
    for way, figure in blind.items():
        assert figure.chance == pytest.approx(1 / way)
        assert figure.low < 1 / way < figure.high
    seeing = identification_report(embeddings(np.random.default_rng(0), signal=2.0).compare(), ways=(2, 24))
    assert seeing[2].low > 0.9
    assert seeing[24].low > 0.3
    with pytest.raises(ValueError, match="10-way identification among 4 sounds"):
        identify(comparison(np.eye(4)), 10)


def test_a_perfect_and_a_constant_model_and_one_that_diverged():
    report = identification_report(comparison(np.eye(60)))
    assert [(way, figure.value) for way, figure in report.items()] == [(2, 1), (10, 1), (50, 1)]
    for nothing in (np.zeros((60, 60)), np.full((60, 60), np.nan)):
        for way, figure in identification_report(comparison(nothing)).items():
            assert figure.value == pytest.approx(1 / way)


def test_nulls_are_those_of_the_reported_figures():
    compared = embeddings(np.random.default_rng(0), signal=0.7).compare()
    nulls, report = identification_nulls(compared, permutations=300), identification_report(compared)
    assert nulls.keys() == report.keys()
    for way, null in nulls.items():
        assert null.observed == pytest.approx(report[way].value)
        turned = [_turned(compared, by, way) for by in range(6)]  # each sound is each of its story equally often
        assert null.draws.mean() == pytest.approx(np.mean(turned), abs=0.01)
        assert null.p == 1 / 301
    alone = identification_nulls(compared, group=np.arange(72), permutations=10)
    assert alone[2].windows == 0


def test_the_nearest_training_clip_is_found_in_any_part(monkeypatch):
    training, generated = RNG.normal(size=(50, 6)).astype(np.float32), RNG.normal(size=(7, 6)).astype(np.float32)
    product = generated @ training.T
    for rows in (1024, 8):
        monkeypatch.setattr("eeg2speech.metrics.identification._ROWS", rows)
        index, similarity = nearest_training(generated, training)
        np.testing.assert_array_equal(index, product.argmax(axis=1))
        np.testing.assert_allclose(similarity, product.max(axis=1), rtol=1e-5)
    generated[2] = np.nan
    assert nearest_training(generated, training)[1][2] == -1
    with pytest.raises(ValueError, match="no training clips"):
        nearest_training(generated, training[:0])


def test_remembered_clips_stand_out():
    training, real, fresh = (step_embeddings(RNG.normal(size=(200, 5, 2, 8)), np.zeros((2, 8))) for _ in range(3))
    held_out = nearest_training(real, training)[1]
    new = memorisation(nearest_training(fresh, training)[1], held_out)
    assert new.share < 0.05
    assert new.expected == pytest.approx(0.01)
    assert memorisation(held_out, held_out).share == pytest.approx(0.01)
    copies = np.concatenate([fresh[:100], training[:100]])
    assert memorisation(nearest_training(copies, training)[1], held_out).share == pytest.approx(0.5, abs=0.03)
    assert np.isnan(memorisation(held_out[:0], held_out).share)
