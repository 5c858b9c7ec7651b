from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.metrics.intervals import bootstrap_interval, median_interval


def test_it_equals_resampling_by_hand():
    rng = np.random.default_rng(0)
    error, variance, group = rng.random(50), 1 + rng.random(50), rng.integers(0, 7, 50)
    got = bootstrap_interval(error, variance, statistic=np.divide, groups=group, samples=20, seed=5)
    draws = []
    for counts in np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=20):
        weight = counts[group]
        draws.append((weight * error).sum() / (weight * variance).sum())
    assert got.value == pytest.approx(error.sum() / variance.sum())
    np.testing.assert_allclose([got.low, got.high], np.quantile(draws, [0.025, 0.975]))


def test_a_mean_is_covered_as_often_as_promised():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = np.repeat(rng.normal(size=40), 5) + rng.normal(size=200)
        interval = bootstrap_interval(
            values, np.ones(200), statistic=np.divide, groups=np.arange(200) // 5, samples=300, seed=trial
        )
        covered += interval.low <= 0 <= interval.high
    assert 178 <= covered <= 199  # 190 expected, 3.9 standard deviations below to 2.9 above


def test_rows_of_one_group_do_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(size=30)
    one = bootstrap_interval(values, np.ones(30), statistic=np.divide, groups=np.arange(30))
    many = bootstrap_interval(values.repeat(50), np.ones(1500), statistic=np.divide, groups=np.arange(30).repeat(50))
    np.testing.assert_allclose([one.low, one.high], [many.low, many.high])


def test_one_group_or_no_number_has_no_interval():
    single = bootstrap_interval([1.0, 2.0], [1.0, 1.0], statistic=np.divide, groups=["a", "a"])
    assert single.value == 1.5
    assert np.isnan([single.low, single.high]).all()
    nothing = bootstrap_interval([np.nan, 1.0], [1.0, 1.0], statistic=np.divide, groups=["a", "b"], samples=1)
    assert np.isnan(nothing.value)
    assert np.isnan(bootstrap_interval([], [], statistic=np.divide, groups=[]).value)


def test_a_median_equals_resampling_by_hand():
    rng = np.random.default_rng(0)
    values, group = rng.integers(0, 9, 50), rng.integers(0, 7, 50)
    got = median_interval(values, groups=group, samples=20, seed=5)
    draws = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=20)
    medians = [np.median(values.repeat(counts[group])) for counts in draws]
    assert got.value == np.median(values)
    np.testing.assert_allclose([got.low, got.high], np.quantile(medians, [0.025, 0.975]))
