from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.metrics import Comparison, retrieval_report
from eeg2speech.metrics.galleries import gallery_curves


def comparison(sounds=30, stimuli=5, signal=1.0, seed=0):
    rng = np.random.default_rng(seed)
    similarity = rng.standard_normal((sounds, sounds)) + signal * np.eye(sounds)
    number = np.arange(sounds)
    stimulus = number * stimuli // sounds
    return Comparison(similarity.astype(np.float32), number, 0 * number, stimulus, number.astype(float))


def test_each_curve_ends_at_the_whole_gallery_and_agrees_with_the_report():
    split = comparison()
    curves = gallery_curves(split, permutations=50)
    assert [point.gallery for point in curves["top1"]] == [2, 5, 10, 20, 30]
    assert [point.gallery for point in curves["top10"]] == [20, 30]
    rows = {row.gallery: row for row in retrieval_report(split, galleries=(20,)) if row.direction == "eeg_to_sound"}
    whole = retrieval_report(split)[0]
    for name, points in curves.items():
        assert points[-1].figure == whole.figures[name]
        at_20 = next(point for point in points if point.gallery == 20)
        assert at_20.figure.value == pytest.approx(rows[20].figures[name].value)
        for point in points:
            assert point.figure.chance == pytest.approx(int(name[3:]) / point.gallery)
            assert point.null.observed == pytest.approx(point.figure.value)
            assert len(point.null.draws) == 50


def test_larger_galleries_are_harder_and_permutations_are_beaten_only_by_a_signal():
    strong = gallery_curves(comparison(signal=4), permutations=200)["top1"]
    values = [point.figure.value for point in strong]
    assert values == sorted(values, reverse=True)
    assert all(point.figure.value > point.null.threshold for point in strong)
    none = gallery_curves(comparison(signal=0), permutations=200)["top1"]
    assert all(point.null.p > 0.01 for point in none)


def test_a_gallery_of_one_sound_is_a_single_point():
    curves = gallery_curves(comparison(sounds=1, stimuli=1), permutations=10)
    assert [(point.gallery, point.figure.value) for point in curves["top1"]] == [(1, 1.0)]


def test_single_sounds_are_shuffled_within_the_group_that_is_given():
    split = comparison(stimuli=30)  # every story is one sound
    for group, windows in ((None, 0), (np.zeros(30, np.int64), 30)):
        point = gallery_curves(split, permutations=50, group=group)["top1"][-1]
        assert point.null.windows == windows
        assert (point.null.draws == point.null.observed).all() == (group is None)
