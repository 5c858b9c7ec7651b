from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mne.filter import resample

from eeg2speech.core.types import Channel, RawRecording, Segment
from eeg2speech.data.preparation.filtering import filter_causally, group_delay
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess
from eeg2speech.data.preparation.resampling import DRIFT, resampled, simple_ratio

SETTINGS = Preprocessing(band=(None, 40.0), notch=None, reference="none", flat=None, deviation=None)
RATES = st.one_of(
    st.floats(100.0, 8192.0),
    st.sampled_from([100.0, 128.0, 256.0, 499.7, 499.907, 512.0, 1000 / 3, 1024.0, 2035.2, 2048.0, 5000.0, 8192.0]),
)


def bumps(time, centres, width=0.03):
    return sum(np.exp(-0.5 * ((time - centre) / width) ** 2) for centre in centres)


def peak(signal, rate, near):
    """Time of the maximum next to a time, in seconds, from the parabola through its logarithm."""
    middle = round(near * rate)
    at = middle - 5 + int(np.argmax(signal[middle - 5 : middle + 6]))
    before, top, after = np.log(np.maximum(signal[at - 1 : at + 2], 1e-9))
    return (at + 0.5 * (before - after) / (before - 2 * top + after)) / rate


@given(rate=RATES, seconds=st.floats(4.0, 12.0), pause=st.floats(0.3, 0.7))
@example(rate=512.0, seconds=11.7, pause=0.5)
@example(rate=8192.0, seconds=10.013, pause=0.5)
@settings(max_examples=40, deadline=None)
def test_nothing_is_shifted_at_any_rate_and_length(rate, seconds, pause):
    """Responses stay on their segments to half a millisecond, also behind a break and at the end."""
    samples = int(seconds * rate)
    first = round(pause * samples)
    centres = [0.503, first / rate - 0.401, first / rate + 0.333, samples / rate - 0.407]
    eeg = 50e-6 * bumps(np.arange(samples) / rate, centres)[None]
    segments = [Segment("r", centre, 0.2, "s", 0.0, "listening") for centre in centres]
    prepared = preprocess(RawRecording(eeg, rate, [Channel("Cz")], segments, [first]), SETTINGS, "r")
    for segment in prepared[2]:
        assert abs(peak(prepared[0][0], 100.0, segment.onset) - segment.onset) < 0.0005


@pytest.mark.parametrize("rate", [128.0, 499.907, 512.0003])
def test_the_end_of_an_hour_is_where_it_was(rate):
    samples, centre = int(3600 * rate), 3599.0
    signal = bumps(np.arange(samples) / rate, [centre])
    found = resampled(signal, rate, 100.0)
    assert found.shape == (round(samples * 100 / rate),)
    assert abs(peak(found, 100.0, centre) - centre) < 0.0005


@given(rate=RATES, new_rate=st.sampled_from([64.0, 100.0, 128.0, 333.3]), samples=st.integers(1, 10**8))
@settings(max_examples=50, deadline=None)
def test_ratios_are_simple_and_do_not_drift(rate, new_rate, samples):
    ratio = simple_ratio(rate, new_rate, samples)
    assert abs(ratio / (Fraction(new_rate) / Fraction(rate)) - 1) * samples / Fraction(rate) <= DRIFT
    assert max(ratio.numerator, ratio.denominator) < 1e6
    assert simple_ratio(512.0, 100.0, samples + 512) == Fraction(25, 128)


@pytest.mark.parametrize("rate", [128.0, 200.0, 256.0, 499.907])
def test_pieces_of_any_length_keep_their_level(rate):
    for samples in (1, 2, 3, 7, 50, 400, 401):
        found = resampled(np.ones((2, samples)), rate, 100.0)
        assert found.shape == (2, round(samples * 100 / rate))
        np.testing.assert_allclose(found, 1, atol=0.01 if samples > 300 else 0.2)


@pytest.mark.parametrize("rate", [200.0, 250.0, 500.0, 1000.0])
def test_lengths_that_fit_are_resampled_as_they_are(rate):
    signal = np.random.default_rng(0).normal(size=(2, round(7 * rate)))
    np.testing.assert_array_equal(resampled(signal, rate, 100.0), resample(signal, up=100.0, down=rate, npad=100))


@pytest.mark.parametrize("rate", [90.0, 128.0, 400 / 3, 250.0, 1000 / 3, 499.907, 512.0, 2035.2])
@pytest.mark.parametrize("hertz", [8.0, 20.0, 30.0])
def test_causal_filters_delay_by_what_is_said(rate, hertz):
    time = np.arange(round(16 * rate)) / rate - 7.0
    burst = np.exp(-0.5 * time**2) * np.cos(2 * np.pi * hertz * time)
    found = filter_causally(burst[None], rate, 100.0, (0.5, 40.0), None)[0]
    late = (found**2 * np.arange(found.size)).sum() / (found**2).sum() / 100.0 - 7.0
    assert late == pytest.approx(group_delay(rate, 100.0, (0.5, 40.0), None, np.array([hertz]))[0], abs=0.0005)
