from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.audio import RATE, read_audio, resample, write_audio
from eeg2speech.core.errors import DataError


def sine(frequency, rate=RATE, seconds=1.0):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def test_what_is_written_is_read_back_to_16_bits(tmp_path):
    wave = sine(440)
    write_audio(tmp_path / "a.flac", wave)
    back, rate = read_audio(tmp_path / "a.flac")
    assert rate == RATE
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, wave, atol=1 / 2**15)


def test_a_part_is_read(tmp_path):
    write_audio(tmp_path / "a.flac", sine(440))
    whole, _ = read_audio(tmp_path / "a.flac")
    part, _ = read_audio(tmp_path / "a.flac", start=5000, samples=300)
    assert np.array_equal(part, whole[5000:5300])
    rest, _ = read_audio(tmp_path / "a.flac", start=15_900, samples=300)
    assert np.array_equal(rest, whole[15_900:])


def test_loud_samples_are_clipped_not_wrapped(tmp_path):
    write_audio(tmp_path / "a.flac", np.array([3.0, -3.0, 1.0, -1.0], np.float32))
    back, _ = read_audio(tmp_path / "a.flac")
    np.testing.assert_allclose(back, [1, -1, 1, -1], atol=1e-4)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_channels_are_averaged(tmp_path, form):
    left, right = sine(440, 44_100), sine(880, 44_100)
    soundfile.write(tmp_path / "a", np.stack([left, right], 1), 44_100, format=form)
    back, rate = read_audio(tmp_path / "a")
    assert rate == 44_100
    assert back.shape == left.shape
    np.testing.assert_allclose(back, (left + right) / 2, atol=0.05 if form == "OGG" else 1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000])
def test_resampling_keeps_pitch_length_and_loudness(rate):
    made = resample(sine(1000, rate), rate)
    assert made.dtype == np.float32
    assert len(made) == RATE
    middle = slice(2000, -2000)
    np.testing.assert_allclose(made[middle], sine(1000)[middle], atol=0.005)


def test_resampling_removes_what_the_new_rate_cannot_hold():
    made = resample(sine(10_000, 44_100), 44_100)
    assert np.abs(made[2000:-2000]).max() < 0.01


@given(rate=st.sampled_from([8_000.0, 11_025.0, 16_000.0, 44_100.0]), samples=st.integers(1, 3000))
def test_any_length_is_resampled(rate, samples):
    made = resample(np.ones(samples, np.float32), rate)
    assert abs(len(made) - samples * RATE / rate) <= 1


def test_the_same_rate_changes_nothing():
    wave = sine(100)
    assert resample(wave, RATE) is wave


def spoil(file, how):
    content = file.read_bytes()
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("this is no sound")
    elif how == "missing":
        file.unlink()


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "missing"])
def test_a_damaged_file_is_named(tmp_path, how):
    file = tmp_path / "a.flac"
    write_audio(file, np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE).astype(np.float32))
    spoil(file, how)
    with pytest.raises(DataError, match=r"a.flac: cannot be read as sound .*; replace or remove it"):
        read_audio(file)
