"""The ideal observer against probabilities that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from eeg2speech.metrics import Comparison
from eeg2speech.metrics.ideal_observer import TAPERS, IdealObserver, NoiseSpectra, multitaper, share_of_ceiling

F, C = 5, 2
MIXING = np.array([[1.0, 0.0], [0.9, 0.5]])  # of two sources into two channels whose noise is alike


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Spectra of complex Gaussian noise with cross-spectra ``MIXING @ MIXING.T`` at every frequency."""
    white = rng.standard_normal((2, n, F, TAPERS, C)) / np.sqrt(2)
    return ((white[0] + 1j * white[1]) @ MIXING.T).astype(np.complex64)


def observer(rng: np.random.Generator) -> IdealObserver:
    spectra = NoiseSpectra()
    for _ in range(4):
        spectra.add(noise(rng, 1000))
    found = IdealObserver.fit(spectra)
    assert found is not None
    return found


def test_cross_spectra_are_those_of_the_noise():
    precision = np.linalg.inv(MIXING @ MIXING.T)
    found = observer(np.random.default_rng(0)).precision
    np.testing.assert_allclose(found, np.broadcast_to(precision, (F, C, C)), atol=0.03 * precision.max())


@pytest.mark.parametrize("scale", [0.1, 0.2])
def test_one_of_two_is_chosen_as_often_as_theory_has_it(scale: float):
    rng = np.random.default_rng(1)
    n = 20_000
    responses = (scale * rng.standard_normal((2, F, TAPERS, C))).astype(np.complex64)
    target = rng.integers(0, 2, n)
    found = observer(rng).likelihoods(noise(rng, n) + responses[target], responses)
    difference = (responses[0] - responses[1]).reshape(-1, C)
    distance = np.einsum("ic,cd,id->", difference.conj(), np.linalg.inv(MIXING @ MIXING.T), difference).real
    # the difference of the log-likelihoods has mean D and variance 2 D
    expected = norm.cdf(np.sqrt(distance / 2))
    assert 0.6 < expected < 0.99
    assert (found.argmax(axis=1) == target).mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / n))


def test_a_response_is_found_where_the_noise_is_weak():
    rng = np.random.default_rng(2)
    T, rate = 100, 100
    time = np.arange(T) / rate
    loud = (
        10 * np.sin(2 * np.pi * 10 * time + rng.uniform(0, 2 * np.pi, (400, 1, 1))) * rng.standard_normal((400, 1, 1))
    )
    eeg = (loud + 0.3 * rng.standard_normal((400, 1, T))).astype(np.float32)
    phases = np.array([0, np.pi])[:, None, None]
    responses = (0.5 * np.sin(2 * np.pi * 25 * time + phases)).astype(np.float32)
    target = rng.integers(0, 2, 400)
    spectra = NoiseSpectra()
    spectra.add(multitaper(eeg[:200], T // 2 - 1))
    found = IdealObserver.fit(spectra)
    assert found is not None
    windows = eeg[200:] + responses[target[200:]]
    chosen = found.likelihoods(*(multitaper(x, T // 2 - 1) for x in (windows, responses))).argmax(axis=1)
    assert (chosen == target[200:]).mean() > 0.97


def test_too_few_windows_give_no_observer():
    spectra = NoiseSpectra()
    assert IdealObserver.fit(spectra) is None
    spectra.add(np.ones((2, F, TAPERS, 5), np.complex64))
    assert IdealObserver.fit(spectra) is None


def compared(right: np.ndarray) -> Comparison:
    """Windows whose sound has rank 1 where ``right``, else rank 2 of 2."""
    target = np.arange(len(right)) % 2
    similarity = np.zeros((len(right), 2), np.float32)
    similarity[np.arange(len(right)), np.where(right, target, 1 - target)] = 1
    return Comparison(similarity, target, np.zeros(len(right), int), np.arange(len(right)) // 4, np.arange(2.0))


def test_shares_are_those_of_the_way_from_chance_to_the_ceiling():
    every = np.arange(40)
    ceiling = compared(every % 10 != 0)  # 0.9 of the windows
    half = share_of_ceiling(compared(every % 10 < 7), ceiling)["top1"]  # 0.7, and chance is 0.5
    assert half.value == pytest.approx((0.7 - 0.5) / (0.9 - 0.5))
    assert half.low < half.value < half.high
    assert share_of_ceiling(ceiling, ceiling)["mrr"].value == 1
    assert share_of_ceiling(compared(every % 2 == 0), ceiling)["mrr"].value == pytest.approx(0)
