from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eeg2speech.data.preparation.filtering import filter_blocks, filter_causally, group_delay

BAND = (0.5, 40.0)
RATES = [100.0, 128.0, 250.0, 256.0, 499.907, 500.0, 1000.0]


def burst(hertz, seconds, rate, centre, width):
    """An oscillation under a Gaussian envelope."""
    time = np.arange(round(seconds * rate)) / rate - centre
    return np.exp(-0.5 * (time / width) ** 2) * np.cos(2 * np.pi * hertz * time)


@given(
    rate=st.sampled_from([90.0, *RATES]),  # below the new rate, too
    samples=st.integers(2, 3000),
    cut=st.floats(0, 1),
    low=st.sampled_from([None, 0.5, 2.0]),
    high=st.sampled_from([None, 20.0, 40.0]),
    notch=st.sampled_from([None, 50.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_no_sample_depends_on_later_ones(rate, samples, cut, low, high, notch, seed):
    rng = np.random.default_rng(seed)
    eeg = 1000 + rng.normal(0, 20, (2, samples))
    changed = eeg.copy()
    first = 1 + int(cut * (samples - 1))
    changed[:, first:] = rng.normal(0, 1e4, (2, samples - first))
    one, other = (filter_causally(signal, rate, 100.0, (low, high), notch) for signal in (eeg, changed))
    assert one.shape == (2, round(samples * 100.0 / rate))
    before = np.arange(one.shape[1]) / 100.0 < (first - 1e-6) / rate
    np.testing.assert_array_equal(one[:, before], other[:, before])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("hertz", "width"), [(2.0, 3.0), (4.0, 1.5), (8.0, 0.8), (20.0, 0.4)])
def test_oscillations_come_as_late_as_is_said(rate, hertz, width):
    signal = burst(hertz, 24, rate, 10.0, width)[None]
    eeg = filter_causally(signal, rate, 100.0, BAND, 50.0)[0]
    time = np.arange(eeg.size) / 100.0
    late = (eeg**2 * time).sum() / (eeg**2).sum() - 10.0
    assert late == pytest.approx(group_delay(rate, 100.0, BAND, 50.0, np.array([hertz]))[0], rel=0.1, abs=0.002)


def test_the_documented_delays():
    found = group_delay(500.0, 100.0, BAND, 50.0, np.array([1.0, 4.0, 8.0]))
    np.testing.assert_allclose(found, [0.152, 0.027, 0.022], atol=5e-4)


@pytest.mark.parametrize("rate", RATES)
def test_the_band_is_kept_and_the_rest_removed(rate):
    def level(hertz):
        signal = 50 * np.sin(2 * np.pi * hertz * np.arange(round(40 * rate)) / rate)[None] + 4000
        return filter_causally(signal, rate, 100.0, BAND, 50.0)[0, 1500:].std() / (50 / np.sqrt(2))

    assert 0.95 < level(5.0) < 1.02
    assert 0.9 < level(15.0) < 1.02
    assert level(0.05) < 0.02
    if rate > 100.0:
        assert level(50.0) < 0.02
    if rate > 250.0:
        assert max(level(60.0), level(95.0), level(105.0)) < 0.02  # would alias to 40 and 5 Hz


def test_pieces_start_without_a_step_and_short_ones_lose_their_offset():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, (200, 256))
    for offset in (0.0, 4200.0):
        eeg = filter_causally(noise + offset, 256.0, 100.0, BAND, 50.0)
        np.testing.assert_allclose(eeg, filter_causally(noise, 256.0, 100.0, BAND, 50.0), atol=1e-6)
    drifting = noise + 100 * np.arange(256) / 256
    end = filter_causally(drifting, 256.0, 100.0, BAND, 50.0)[:, -10:]
    assert abs(end.mean()) < 40  # a drift of 100 uV/s is held back by a time constant of a third of a second
    assert np.isfinite(end).all()


def test_lengths_are_those_of_the_filters_that_look_ahead():
    for samples in (1, 2, 3, 255, 256, 257, 1013):
        eeg = np.random.default_rng(0).normal(size=(1, samples))
        causal = filter_causally(eeg, 256.0, 100.0, BAND, None)
        assert causal.shape == filter_blocks(eeg, 256.0, 100.0, BAND, None).shape
