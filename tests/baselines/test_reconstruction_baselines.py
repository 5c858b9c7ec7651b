from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.baselines.baseline import patterns
from eeg2speech.baselines.covariance import HiddenPatches, Ridge
from eeg2speech.baselines.neighbours import Interpolation, Nearest, Spline
from eeg2speech.baselines.reconstruction import BASELINES, VARIANCE, ReconstructionBaselines
from eeg2speech.core.errors import DataError

C, T = 8, 64
PATCHES = HiddenPatches(2, 8, 0.7)


def average_matrix(positions, visible):
    """Stands in for mne's splines: every electrode is the average of the visible ones."""
    return np.full((len(positions), len(visible)), 1 / len(visible))


def scalp(channels, seed=3):
    points = np.random.default_rng(seed).normal(size=(channels, 3))
    return 0.09 * points / np.linalg.norm(points, axis=1, keepdims=True)


def smooth_eeg(count, channels=C, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(channels, 3))
    sources = np.cumsum(rng.normal(size=(count, 3, T)), axis=2) / 5
    return (mixing @ sources + 0.1 * rng.normal(size=(count, channels, T)) + 2).astype(np.float32)


def batch(count, channels=C, width=None, seed=0):
    """A batch of ``channels`` electrodes, with masked ones in front up to ``width``."""
    width = width or channels
    eeg, positions = np.zeros((count, width, T), np.float32), np.zeros((count, width, 3), np.float32)
    eeg[:, width - channels :] = smooth_eeg(count, channels, seed)
    positions[:, width - channels :] = scalp(channels)
    mask = np.zeros((count, width), bool)
    mask[:, width - channels :] = True
    return eeg, positions, mask


def hide(count, channels, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack([PATCHES.draw(channels, T, rng) for _ in range(count)])


def baselines(**settings):
    return ReconstructionBaselines(PATCHES, spline=average_matrix, **settings)


@pytest.fixture(scope="module")
def fitted():
    return baselines().fit([batch(40)])


def fitted_one(fitted, name):
    return next(iter(fitted.montages.values()))[name]


@pytest.mark.parametrize("name", BASELINES)
def test_hidden_samples_are_never_read_and_visible_ones_stay(fitted, name):
    baseline, window, hidden = fitted_one(fitted, name), smooth_eeg(1, seed=5)[0], hide(1, C)[0]
    blind = np.where(hidden, np.nan, window)
    filled = baseline.predict(blind, hidden)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled, baseline.predict(window, hidden))
    np.testing.assert_array_equal(filled[~hidden], window[~hidden])


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("everything", [True, False])
def test_all_hidden_gives_the_mean_and_nothing_hidden_the_window(fitted, name, everything):
    baseline, window = fitted_one(fitted, name), smooth_eeg(1, seed=5)[0]
    filled = baseline.predict(window, np.full((C, T), everything))
    expected = np.broadcast_to(baseline.mean[:, None], (C, T)) if everything else window
    np.testing.assert_allclose(filled, expected, atol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_flat_training_eeg_is_filled_without_a_warning(name):
    flat = np.ones((4, C, T), np.float32)
    one = baselines().fit([(flat, np.stack([scalp(C)] * 4), np.ones((4, C), bool))])
    np.testing.assert_allclose(fitted_one(one, name).predict(flat[0], hide(1, C)[0]), 1.0)


def test_a_window_of_another_shape_is_refused(fitted):
    with pytest.raises(ValueError, match="differ from training"):
        fitted_one(fitted, "ridge").predict(np.zeros((C, T + 1)), np.zeros((C, T + 1), bool))


def test_nmse_of_the_mean_is_exactly_one_and_ridge_is_below(fitted):
    eeg, positions, mask = batch(12, seed=2)
    scores = fitted.score(eeg, positions, mask, hide(12, C))
    nmse = {name: scores[name][0].sum() / scores[VARIANCE][0].sum() for name in BASELINES}
    assert nmse["mean"] == 1.0
    assert nmse["kriging"] < nmse["ridge"] < 0.9


def test_scores_are_the_squared_errors_of_predict(fitted):
    eeg, positions, mask = batch(3, seed=2)
    hidden = hide(3, C)
    errors, counts = fitted.score(eeg, positions, mask, hidden)["interpolation"]
    filled = fitted_one(fitted, "interpolation").predict(eeg[1], hidden[1])
    assert errors[1] == pytest.approx(((filled - eeg[1])[hidden[1]] ** 2).sum())
    assert counts.tolist() == hidden.sum((1, 2)).tolist()


def test_masked_channels_change_nothing(fitted):
    plain, padded = batch(4, seed=2), batch(4, width=C + 5, seed=2)
    hidden = hide(4, C)
    wide = np.ones((4, C + 5, T), bool)
    wide[:, 5:] = hidden
    ragged = baselines().fit([batch(40, width=C + 5)])
    one, other = fitted.score(*plain, hidden), ragged.score(*padded, wide)
    for name in (*BASELINES, VARIANCE):
        np.testing.assert_array_equal(one[name][0], other[name][0])
        np.testing.assert_array_equal(one[name][1], other[name][1])


def test_each_montage_has_its_own_fit_and_an_unseen_one_is_not_applicable_to_ridge(fitted):
    both = baselines().fit([batch(40), batch(40, channels=6, width=C)])
    eeg, positions, mask = batch(4, seed=2)
    hidden = hide(4, C)
    np.testing.assert_array_equal(
        both.score(eeg, positions, mask, hidden)["ridge"][0],
        fitted.score(eeg, positions, mask, hidden)["ridge"][0],
    )
    unseen = fitted.score(eeg, positions + 0.01, mask, hidden)
    assert np.isnan(unseen["ridge"][0]).all()
    assert np.isnan(unseen["kriging"][0]).all()
    for name in ("nearest", "interpolation", "spline"):
        assert np.isfinite(unseen[name][0]).all()
    np.testing.assert_array_equal(unseen["mean"][0], unseen[VARIANCE][0])
    np.testing.assert_allclose(
        unseen[VARIANCE][0], [(x[h].astype(float) ** 2).sum() for x, h in zip(eeg, hidden, strict=True)]
    )


def test_a_single_training_window_is_enough():
    eeg, positions, mask = batch(1)
    hidden = hide(1, C)
    scores = baselines().fit([(eeg, positions, mask)]).score(eeg, positions, mask, hidden)
    assert all(np.isfinite(error).all() for error, _ in scores.values())


def test_the_limit_draws_from_all_batches():
    late = batch(30, seed=4)
    late[0][:] += 100
    limited = baselines(kriging=False, limit=20).fit([batch(30), late])
    assert "kriging" not in limited.names
    assert 20 < fitted_one(limited, "mean").mean.mean() < 80


def test_an_empty_training_split_is_an_error_that_says_so():
    with pytest.raises(DataError, match="no training windows"):
        baselines().fit([])


def test_patterns_cover_every_sample_once():
    hidden = hide(1, C)[0]
    seen = np.zeros(T, int)
    for visible, samples in patterns(hidden):
        assert (hidden[:, samples] == ~visible[:, None]).all()
        seen[samples] += 1
    assert (seen == 1).all()


def test_a_line_in_time_is_recovered_by_interpolation():
    line = np.linspace(-1, 1, T) * np.arange(1, C + 1)[:, None]
    hidden = np.zeros((C, T), bool)
    hidden[:, 10:50] = True
    filled = Interpolation().fit(line[None], scalp(C)).predict(line, hidden)
    np.testing.assert_allclose(filled, line, atol=1e-12)


def test_a_rank_one_signal_is_recovered_by_ridge():
    rng = np.random.default_rng(0)
    windows = np.arange(1, C + 1)[:, None] * rng.normal(size=(30, 1, T))
    hidden = np.tile((np.arange(C) % 4 != 0)[:, None], (1, T))
    ridge = Ridge(PATCHES).fit(windows[1:], scalp(C))
    error = ridge.predict(windows[0], hidden) - windows[0]
    assert np.abs(error).max() < 1e-3 * np.abs(windows[0]).max()


def test_ridge_shrinks_more_when_the_channels_share_less():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(60, 1, T))
    clean = Ridge(PATCHES).fit(shared + 0.01 * rng.normal(size=(60, C, T)), scalp(C))
    noisy = Ridge(PATCHES).fit(shared[:2, :, :8] + 5 * rng.normal(size=(2, C, 8)), scalp(C))
    assert clean.noise < noisy.noise


def test_nearest_takes_the_closest_visible_electrode_and_leaves_unknown_positions_at_the_mean():
    positions = np.array([[0.01, 0, 0], [0.02, 0, 0], [0.05, 0, 0], [0.0, 0, 0]])
    window = np.array([[1.0], [2.0], [3.0], [9.0]]).repeat(T, axis=1)
    hidden = np.zeros((4, T), bool)
    hidden[[1, 3]] = True
    filled = Nearest().fit(np.zeros((1, 4, T)), positions).predict(window, hidden)
    assert filled[:, 0].tolist() == [1.0, 1.0, 3.0, 0.0]


def test_spline_needs_three_visible_electrodes_and_makes_each_matrix_once():
    calls = []

    def matrix(positions, visible):
        calls.append(visible.tolist())
        return average_matrix(positions, visible)

    window = np.ones((C, T))
    hidden = np.ones((C, T), bool)
    hidden[:2, : T // 2] = False
    hidden[:3, T // 2 :] = False
    spline = Spline(matrix).fit(np.zeros((1, C, T)), scalp(C))
    filled = spline.predict(window, hidden)
    spline.predict(window, hidden)
    assert calls == [[0, 1, 2]]
    np.testing.assert_allclose(filled[3:, : T // 2], 0)
    np.testing.assert_allclose(filled[3:, T // 2 :], 1)


def test_splines_of_mne_recover_a_smooth_map_and_cope_with_unknown_positions():
    positions = scalp(24, seed=1) + np.array([0, 0.0144, 0.037])
    positions[[5, 6]] = 0
    window = (10 * positions @ [1.0, 2.0, -1.0])[:, None] * np.ones(T)
    window[6] = 1e3
    hidden = np.zeros((24, T), bool)
    hidden[[2, 5, 9, 17]] = True
    filled = Spline().fit(np.zeros((1, 24, T)), positions).predict(window, hidden)
    hidden[5] = False  # what follows is about the others
    error = np.square(filled - window)[hidden].sum() / np.square(window)[hidden].sum()
    assert error < 0.05
    assert (filled[5] == 0).all()


@pytest.mark.parametrize(("channels", "samples"), [(8, 64), (7, 60), (1, 5)])
def test_whole_patches_are_hidden_at_the_asked_ratio(channels, samples):
    hidden = PATCHES.draw(channels, samples, np.random.default_rng(0))
    assert hidden.shape == (channels, samples)
    assert not hidden.all()
    for row in range(0, channels, 2):
        for start in range(0, samples, 8):
            assert len(np.unique(hidden[row : row + 2, start : start + 8])) == 1
    if (channels, samples) == (8, 64):
        assert hidden[::2, ::8].sum() == 22  # of 32, by rounding the 9.6 visible ones
