from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from eeg2speech.metrics.frechet import clip_embeddings, frechet_distance, frechet_report

RNG = np.random.default_rng(0)


def by_definition(first, second):
    means = first.mean(axis=0), second.mean(axis=0)
    spreads = np.cov(first.T), np.cov(second.T)
    return np.square(means[0] - means[1]).sum() + np.trace(sum(spreads) - 2 * sqrtm(spreads[0] @ spreads[1]).real)


@pytest.mark.parametrize("count", [5, 50])  # fewer and more points than dimensions
def test_a_set_is_at_no_distance_from_itself(count):
    points = RNG.normal(size=(count, 12))
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(points, points[::-1]) == pytest.approx(0, abs=1e-9)


def test_it_equals_the_definition():
    first, second = RNG.normal(size=(60, 8)), RNG.normal(size=(90, 8)) @ RNG.normal(size=(8, 8)) + 1
    assert frechet_distance(first, second) == pytest.approx(by_definition(first, second), rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second))


def test_it_equals_the_closed_form_of_independent_gaussians():
    """Points with exactly the wanted means and variances: whitened, then scaled."""
    raw = RNG.normal(size=(2, 100, 5))
    raw -= raw.mean(axis=1, keepdims=True)
    white = [side @ np.linalg.inv(np.linalg.cholesky(np.cov(side.T)).T) for side in raw]
    deviation, mean = RNG.uniform(0.5, 2, (2, 5)), RNG.normal(size=(2, 5))
    sides = [white[i] * deviation[i] + mean[i] for i in range(2)]
    expected = np.square(mean[0] - mean[1]).sum() + np.square(deviation[0] - deviation[1]).sum()
    assert frechet_distance(*sides) == pytest.approx(expected)


def test_a_shift_is_its_square_whatever_the_number_of_points():
    points = RNG.normal(size=(6, 40))
    assert frechet_distance(points, points + 2) == pytest.approx(4 * 40)


def test_rotating_both_changes_nothing():
    first, second = RNG.normal(size=(10, 20)), RNG.normal(size=(30, 20)) * 2
    rotation = np.linalg.qr(RNG.normal(size=(20, 20)))[0]
    assert frechet_distance(first @ rotation, second @ rotation) == pytest.approx(frechet_distance(first, second))


def test_the_report_shows_the_bias_of_few_samples():
    real, other = RNG.normal(size=(2, 64, 32))
    far = frechet_report(real, other + 1)
    near = frechet_report(real, other)
    assert (near.real, near.generated) == (64, 64)
    assert 5 < near.value < near.halves  # of half as many samples
    assert far.value > near.halves
    assert near == frechet_report(real, other)
    assert frechet_report(real[:3], other).halves != frechet_report(real[:3], other).halves


def test_single_points_and_nan_have_no_distance():
    points = RNG.normal(size=(4, 3))
    assert np.isnan(frechet_distance(points[:1], points))
    assert np.isnan(frechet_distance(points, np.full((4, 3), np.nan)))


def test_clips_are_averaged_over_steps_and_rows():
    tokens = RNG.normal(size=(3, 20, 8, 6)).astype(np.float32)
    found = clip_embeddings(tokens)
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found[1, 2], tokens[1, :, :, 2].mean(), rtol=1e-5)
