from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from eeg2speech.audio import RATE, resample
from eeg2speech.audio.resampling import resample_anywhere
from eeg2speech.core.errors import ConfigError
from tests.audio.sounds import talk


def chirp(seconds, rate):
    """A tone that rises from 100 to 3000 Hz, at any rate the same sound."""
    time = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (100 * time + 1450 * time**2 / seconds))).astype(np.float32)


@pytest.mark.parametrize(("up", "down"), [(160, 441), (1, 3), (320, 441), (2, 1), (640, 441), (16_000, 44_101)])
def test_it_is_the_polyphase_filter_where_both_are_possible(up, down):
    wave = talk(0, 2.0)
    expected = resample_poly(wave, up, down)
    made = resample_anywhere(wave, up / down)
    assert len(made) == len(expected)
    np.testing.assert_allclose(made, expected, atol=2e-4)


@pytest.mark.parametrize("rate", [44_099.7, 22_050.123457, 47_952.047952, 16_000.3, 15_999.999, 8_000.00001, 96_000.7])
def test_fractional_rates_keep_pitch_and_time(rate):
    seconds = 20.0
    made = resample(chirp(seconds, rate), rate)
    assert len(made) == pytest.approx(seconds * RATE, abs=2)
    inside = slice(200, round(seconds * RATE) - 200)
    np.testing.assert_allclose(made[inside], chirp(seconds, RATE)[inside], atol=0.02)


@settings(max_examples=10)
@given(rate=st.floats(4000, 100_000))
def test_no_rate_moves_a_click(rate):
    assert moved(rate, RATE, at=(0.5, 3.4), seconds=4.0) < 0.0005


@pytest.mark.parametrize("rate", [1000.3, 1999.98, 2000 + 1e-5])
def test_the_end_of_a_long_sound_is_not_moved(rate):
    assert moved(rate, 1000.0, at=(0.5, 899.5), seconds=900.0) < 0.0005


def moved(rate, target, at, seconds):
    """Most seconds by which clicks are moved."""
    wave = np.zeros(round(seconds * rate), np.float32)
    places = [round(time * rate) for time in at]
    wave[places] = 1
    made = resample(wave, rate, target)
    found = []
    for place, time in zip(places, at, strict=True):
        around = slice(round((time - 0.1) * target), round((time + 0.1) * target))
        found.append(abs((around.start + int(np.abs(made[around]).argmax())) / target - place / rate))
    return max(found)


def test_memory_is_bounded_at_any_rate():
    wave = talk(0, 20.0)
    tracemalloc.start()
    resample(wave, 22_050.123457)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80e6  # the polyphase filter alone would need 200 GB


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e-3, 1e12])
def test_rates_that_cannot_be_are_refused(rate):
    with pytest.raises(ConfigError, match="cannot be resampled"):
        resample(talk(0, 0.1), rate)
    with pytest.raises(ConfigError, match="cannot be resampled"):
        resample(talk(0, 0.1), 16_000, rate)
