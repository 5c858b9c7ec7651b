from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import toeplitz

from eeg2speech.baselines.covariance import HiddenPatches, Kriging, Ridge

C, T = 8, 64
PATCHES = HiddenPatches(2, 8, 0.7)
POSITIONS = np.random.default_rng(3).normal(size=(C, 3))


@pytest.fixture(scope="module")
def world():
    """A known space-time Gaussian: its covariance, training windows, test windows and their masks."""
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.normal(size=(C, C)))[0]
    lag = np.arange(T)
    covariance = np.zeros((C, T, C, T))
    for k in range(C):
        kernel = 0.6**k * np.exp(-lag / (20 / (k + 1))) * np.cos(0.15 * k * lag)
        covariance += np.einsum("c,d,st->csdt", components[:, k], components[:, k], toeplitz(kernel))
    covariance = covariance.reshape(C * T, C * T)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(C * T))
    windows = (rng.normal(size=(460, C * T)) @ root.T).reshape(-1, C, T)
    hidden = np.stack([PATCHES.draw(C, T, rng) for _ in range(60)])
    return covariance, windows[:400], windows[400:], hidden


def conditional_mean(covariance, window, hidden, noise=1e-9):
    seen, unseen = ~hidden.ravel(), hidden.ravel()
    inner = covariance[np.ix_(seen, seen)] + noise * np.eye(seen.sum())
    filled = window.copy()
    filled[hidden] = covariance[np.ix_(unseen, seen)] @ np.linalg.solve(inner, window.ravel()[seen])
    return filled


def nmse(filled, windows, hidden):
    return np.square(np.stack(filled) - windows)[hidden].sum() / np.square(windows)[hidden].sum()


def test_kriging_comes_near_the_optimum_and_beats_ridge(world):
    covariance, train, test, hidden = world
    kriging, ridge = Kriging(PATCHES).fit(train, POSITIONS), Ridge(PATCHES).fit(train, POSITIONS)
    best = nmse([conditional_mean(covariance, *pair) for pair in zip(test, hidden, strict=True)], test, hidden)
    got = nmse([kriging.predict(*pair) for pair in zip(test, hidden, strict=True)], test, hidden)
    space_only = nmse([ridge.predict(*pair) for pair in zip(test, hidden, strict=True)], test, hidden)
    assert best < got < 1.05 * best
    assert got < 0.9 * space_only


def test_the_solver_agrees_with_the_covariance_written_out(world):
    _, train, test, hidden = world
    kriging = Kriging(PATCHES, tolerance=1e-5).fit(
        train[:10], POSITIONS
    )  # so few that the plain estimate is not a covariance
    columns = [kriging._covary(unit.reshape(C, T)).ravel() for unit in np.eye(C * T)]
    covariance = np.stack(columns, axis=1)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-10)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    mean = kriging.mean[:, None]
    expected = conditional_mean(covariance, test[0] - mean, hidden[0], kriging.noise * kriging.variance) + mean
    np.testing.assert_allclose(kriging.predict(test[0], hidden[0]), expected, atol=1e-3)


def test_noise_is_chosen_higher_for_noisier_eeg(world):
    _, train, _, _ = world
    noisy = train + 3 * np.random.default_rng(1).normal(size=train.shape)
    grid = (1e-3, 1.0, 30.0)
    assert Kriging(PATCHES, grid).fit(train, POSITIONS).noise == 1e-3
    assert Kriging(PATCHES, grid).fit(noisy, POSITIONS).noise > 1e-3


def test_fitting_twice_gives_the_same(world):
    _, train, test, hidden = world
    one, two = (Kriging(PATCHES, seed=4).fit(train[:50], POSITIONS) for _ in range(2))
    np.testing.assert_array_equal(one.predict(test[0], hidden[0]), two.predict(test[0], hidden[0]))
