from __future__ import annotations

import numpy as np
import pytest
import torch

from eeg2speech.metrics.surrogates import SubjectMean, another_trial, noise, phase_randomised, zeros

SEEDS = [3, 1, 4, 1]


@pytest.fixture(params=[320, 321])
def windows(request):
    """Four windows of five channels that depend on each other; the last channel of the last window is missing."""
    rng = np.random.default_rng(0)
    sources = np.cumsum(rng.standard_normal((4, 3, request.param)), axis=2)
    eeg = rng.standard_normal((4, 5, 3)) @ sources + rng.standard_normal((4, 5, request.param)) + 2
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[3, 4] = False
    return torch.from_numpy(eeg).float() * mask[:, :, None], mask


@pytest.fixture(params=[noise, phase_randomised])
def surrogate(request):
    return request.param


def test_a_surrogate_is_a_function_of_its_window_and_seed(windows, surrogate):
    eeg, mask = windows
    together = surrogate(eeg, mask, SEEDS)
    assert together.shape == eeg.shape
    assert together.dtype == eeg.dtype
    for row, seed in enumerate(SEEDS):
        one = slice(row, row + 1)
        alone = surrogate(eeg[one], mask[one], torch.tensor([seed]))
        torch.testing.assert_close(alone, together[one], atol=1e-4, rtol=1e-4)  # sums in another order
    assert not torch.allclose(surrogate(eeg, mask, [9, 9, 9, 9]), together)


def test_missing_channels_stay_missing(windows, surrogate):
    assert not surrogate(*windows, SEEDS)[3, 4].any()


def test_nothing_of_the_time_course_is_left(windows, surrogate):
    eeg, mask = windows
    eeg, mask = eeg[:1].expand(200, -1, -1), mask[:1].expand(200, -1)
    made = surrogate(eeg, mask, range(200))
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(made[:, 0], eeg[:, 0], strict=True)]
    assert abs(np.mean(r)) < 5 * np.std(r) / 200**0.5


def test_noise_has_the_moments_of_its_window(windows):
    eeg, mask = windows
    eeg, mask = eeg[:1].expand(400, -1, -1), mask[:1].expand(400, -1)
    covariance = np.cov(eeg[0], bias=True)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    made = noise(eeg, mask, range(400)).double()
    flat = made.permute(1, 0, 2).flatten(1)
    np.testing.assert_allclose(np.cov(flat) / scale, covariance / scale, atol=0.02)
    np.testing.assert_allclose(flat.mean(1), eeg[0].mean(1), atol=0.02 * scale.max() ** 0.5)
    white = np.corrcoef(made[:, 0, 1:].flatten(), made[:, 0, :-1].flatten())[0, 1]
    assert abs(white) < 0.02


def test_phases_change_and_spectra_do_not(windows):
    eeg, mask = windows
    made = phase_randomised(eeg, mask, SEEDS)
    before, after = torch.fft.rfft(eeg.double()), torch.fft.rfft(made.double())
    assert not torch.allclose(made, eeg, atol=0.5)
    for row in range(4):
        cross = [torch.einsum("cf,df->fcd", spectrum[row], spectrum[row].conj()) for spectrum in (before, after)]
        torch.testing.assert_close(cross[0], cross[1], atol=1e-4 * cross[0].abs().max().item(), rtol=1e-3)
    torch.testing.assert_close(made.mean(-1), eeg.mean(-1))


def test_zeros_are_zeros(windows):
    assert not zeros(windows[0]).any()


def test_another_trial_is_of_the_same_subject_and_another_sound():
    rng = np.random.default_rng(0)
    subject, sound = rng.integers(0, 4, 200), rng.integers(10, 17, 200)
    index, possible = another_trial(subject, sound)
    assert possible.all()
    np.testing.assert_array_equal(np.sort(index), np.arange(200))
    np.testing.assert_array_equal(subject[index], subject)
    assert (sound[index] != sound).all()
    assert not np.array_equal(another_trial(subject, sound, seed=1)[0], index)
    np.testing.assert_array_equal(another_trial(subject, sound)[0], index)


def test_another_trial_says_where_there_is_none():
    subject = np.array(["a"] * 7 + ["b"] * 2)
    sound = np.array([1, 1, 2, 1, 1, 3, 1, 5, 5])
    index, possible = another_trial(subject, sound)
    np.testing.assert_array_equal(np.sort(index), np.arange(9))
    np.testing.assert_array_equal(possible, sound[index] != sound)
    assert possible[[2, 5]].all()
    assert possible[:7].sum() == 4  # two sounds that differ can be lent to two windows of sound 1
    assert not possible[7:].any()


def test_subject_means_hold_the_subject_alone(windows):
    eeg, mask = windows
    subject = torch.tensor([0, 1, 0, 1])
    narrow = {"eeg": eeg[:2, :4], "subject": subject[:2]}
    control = SubjectMean([narrow, {"eeg": eeg, "subject": subject}])
    made = control(eeg, mask, torch.tensor([0, 1, 0, 7]))
    torch.testing.assert_close(made[0], made[2])
    torch.testing.assert_close(made[0, :4], (2 * eeg[0, :4] + eeg[2, :4]) / 3)
    assert not torch.allclose(made[0], made[1])
    assert not made[3].any()  # never seen
