from __future__ import annotations

import numpy as np
import pytest
from spaces import embeddings, unit

from eeg2speech.metrics.geometry import (
    alignment,
    effective_rank,
    geometry,
    hubness,
    linear_cka,
    modality_gap,
    uniformity,
)

RNG = np.random.default_rng(0)
POINTS = unit(RNG.normal(size=(50, 8)))


def test_the_same_points_have_neither_gap_nor_distance():
    assert modality_gap(POINTS, POINTS) == alignment(POINTS, POINTS) == 0
    assert modality_gap(POINTS[:1], -POINTS[:1]) == pytest.approx(2)
    assert alignment(POINTS, -POINTS) == pytest.approx(4, rel=1e-6)


def test_uniformity_equals_a_loop():
    pairs = [np.exp(-2 * np.square(POINTS[i] - POINTS[j]).sum()) for i in range(50) for j in range(i)]
    assert uniformity(POINTS) == pytest.approx(np.log(np.mean(pairs)), rel=1e-5)
    assert uniformity(np.repeat(POINTS[:1], 5, axis=0)) == pytest.approx(0, abs=1e-5)
    assert np.isnan(uniformity(POINTS[:1]))


@pytest.mark.parametrize("debiased", [True, False])
def test_cka_ignores_rotation_scale_and_origin(debiased):
    rotation = np.linalg.qr(RNG.normal(size=(8, 8)))[0].astype(np.float32)
    assert linear_cka(POINTS, 3 * POINTS @ rotation + 1, debiased) == pytest.approx(1, abs=1e-5)


def test_plain_cka_equals_its_formula():
    other = (POINTS[:, :5] + RNG.normal(size=(50, 5))).astype(np.float32)
    x, y = (side - side.mean(axis=0) for side in (POINTS, other))
    expected = np.square(y.T @ x).sum() / np.sqrt(np.square(x.T @ x).sum() * np.square(y.T @ y).sum())
    assert linear_cka(POINTS, other, debiased=False) == pytest.approx(expected, rel=1e-5)


def test_unrelated_wide_representations_are_not_taken_for_similar():
    wide = [RNG.normal(size=(60, 600)).astype(np.float32) for _ in range(2)]
    assert linear_cka(*wide, debiased=False) > 0.85
    assert abs(linear_cka(*wide)) < 0.05
    assert np.isnan(linear_cka(wide[0][:3], wide[1][:3]))
    assert np.isnan(linear_cka(wide[0], np.zeros_like(wide[1])))


def test_effective_rank_counts_directions():
    line = np.outer(RNG.normal(size=30), RNG.normal(size=8)).astype(np.float32)
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    corners = np.concatenate([np.eye(4), -np.eye(4)]).astype(np.float32)
    assert effective_rank(corners) == pytest.approx(4)
    assert effective_rank(np.ones((5, 3), np.float32)) == 0


def test_a_hub_is_seen():
    similarity = RNG.normal(size=(500, 100)).astype(np.float32)
    hub = similarity.copy()
    hub[:, 0] += 10
    assert hubness(hub) > 5 > abs(hubness(similarity))
    assert np.isnan(hubness(similarity[:, :5]))  # all are found always


def test_the_report_is_finite_and_sampled():
    found = geometry(embeddings(np.random.default_rng(0), signal=0.5), most=20)
    assert all(np.isfinite(value) for value in found.values())
    assert found.keys() >= {"modality_gap", "cka", "hubness", "uniformity_eeg"}
