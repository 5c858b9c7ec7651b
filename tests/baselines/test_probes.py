from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.baselines.probes import BANDS, band_power, group_folds, probe
from eeg2speech.core.errors import DataError


def rows(strength, seed=0, subjects=4, stimuli=12, each=5, width=16):
    """Features in which each subject has a direction of its own, heard on every stimulus."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), stimuli * each)
    stimulus = np.tile(np.repeat(np.arange(stimuli), each), subjects)
    direction = rng.normal(size=(subjects, width))
    features = strength * direction[subject] + rng.normal(size=(len(subject), width))
    return features.astype(np.float32), subject, stimulus


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_a_subject_written_into_the_features_is_found(kind):
    result = probe(*rows(2.0), kind=kind)
    assert result.accuracy > 0.95
    assert result.low > result.chance == 0.25
    assert result.low <= result.accuracy <= result.high
    assert result.n == 240


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_random_labels_are_at_chance(kind):
    features, subject, stimulus = rows(0.0)
    labels = np.random.default_rng(8).integers(0, 4, len(subject))
    result = probe(features, labels, stimulus, kind=kind)
    assert result.low <= result.chance <= result.high


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_features_of_the_group_do_not_help_on_other_groups(kind):
    """Each subject has one random class: remembering subjects, as a leaking split would allow, reads it."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(24), 20)
    label = rng.permutation(np.arange(24) % 2)[subject]
    features = 5 * rng.normal(size=(24, 64))[subject] + rng.normal(size=(480, 64))
    result = probe(features, label, subject, kind=kind)
    assert result.low <= 0.5 <= result.high


def test_folds_share_no_group_and_cover_every_row():
    groups = np.random.default_rng(0).integers(0, 11, 200)
    fold = group_folds(groups, 4, np.random.default_rng(1))
    assert set(fold) == set(range(4))
    for number in range(4):
        assert not set(groups[fold == number]) & set(groups[fold != number])


def test_given_test_rows_are_the_only_ones_tested():
    features, subject, stimulus = rows(2.0)
    result = probe(features, subject, stimulus, test=stimulus >= 9)
    assert result.n == (stimulus >= 9).sum()
    assert result.accuracy > 0.95


def test_standardisation_does_not_look_at_test_rows():
    features, subject, stimulus = rows(2.0)
    test = stimulus >= 9
    extreme = features.copy()
    extreme[np.flatnonzero(test)[0]] = 1e6
    one, two = (probe(x, subject, stimulus, test=test) for x in (features, extreme))
    assert abs(one.accuracy - two.accuracy) <= 1 / test.sum() * 4


def test_balanced_accuracy_does_not_reward_the_majority_class():
    rng = np.random.default_rng(0)
    labels = (rng.random(300) < 0.1).astype(int)
    result = probe(np.ones((300, 3)), labels, np.arange(300) % 10, kind="knn")
    assert result.accuracy == pytest.approx(0.5)


def test_a_rare_class_is_found():
    rng = np.random.default_rng(0)
    labels = (rng.random(1000) < 0.1).astype(int)
    features = 1.5 * labels[:, None] + rng.normal(size=(1000, 1))
    optimum = 0.773  # the normal distribution below half the distance
    result = probe(features, labels, np.arange(1000) % 20)
    assert result.low <= optimum <= result.high


def test_labels_may_be_names_and_the_seed_decides():
    features, subject, stimulus = rows(0.3)
    names = np.array(["a", "b", "c", "d"])[subject]
    assert probe(features, names, stimulus, seed=3) == probe(features, subject, stimulus, seed=3)


def test_two_groups_are_enough():
    features, subject, stimulus = rows(2.0)
    assert probe(features, subject, stimulus % 2).accuracy > 0.95


def test_training_groups_may_hold_one_class_each():
    rng = np.random.default_rng(0)
    group = np.arange(120) // 40
    label = np.where(group == 2, np.arange(120) % 2, group)
    features = label[:, None] * 4 + rng.normal(size=(120, 2))
    assert probe(features, label, group, test=group == 2).accuracy > 0.9


def test_unusable_input_is_an_error():
    features, subject, stimulus = rows(1.0)
    with pytest.raises(DataError, match="in training and test rows; assign"):
        probe(features, subject, stimulus, test=np.arange(240) % 2 == 0)
    with pytest.raises(DataError, match="0 of 240 rows are test rows"):
        probe(features, subject, stimulus, test=np.zeros(240, bool))
    with pytest.raises(DataError, match="NaN"):
        probe(np.where(features > 2, np.nan, features), subject, stimulus)
    with pytest.raises(DataError, match="1 class"):
        probe(features, np.zeros(240), stimulus)
    with pytest.raises(DataError, match="single group"):
        probe(features, subject, np.zeros(240))
    with pytest.raises(DataError, match="training rows have a single class"):
        probe(features[subject < 2], subject[subject < 2], subject[subject < 2])


@pytest.mark.parametrize(("band", "frequency"), list(enumerate([2.5, 6.0, 10.0, 20.0, 38.0])))
def test_a_sine_has_its_power_in_its_band(band, frequency):
    time = np.arange(320) / 100
    window = np.stack([np.sin(2 * np.pi * frequency * time), np.zeros(320)])[None]
    features = band_power(window, 100.0).reshape(2, len(BANDS))
    assert features[0].argmax() == band
    assert (features[1] == features[1, 0]).all()


def test_an_offset_changes_nothing_and_doubling_adds_its_logarithm():
    window = np.random.default_rng(0).normal(size=(3, 4, 300))
    features = band_power(window, 100.0)
    assert features.shape == (3, 4 * 5)
    np.testing.assert_allclose(band_power(window + 7, 100.0), features, atol=1e-9)
    np.testing.assert_allclose(band_power(2 * window, 100.0) - features, np.log10(4), atol=1e-6)


def test_white_noise_has_its_density_in_every_band():
    window = np.random.default_rng(0).normal(size=(400, 1, 320))
    density = 10 ** band_power(window, 100.0)
    np.testing.assert_allclose(density.mean(axis=0), 1 / 100, rtol=0.1)


def test_bands_above_nyquist_are_left_out_in_short_windows_too():
    assert band_power(np.random.default_rng(0).normal(size=(1, 2, 100)), 40.0).shape == (1, 2 * 4)
    assert band_power(np.random.default_rng(0).normal(size=(1, 2, 16)), 100.0).shape == (1, 2 * 5)
