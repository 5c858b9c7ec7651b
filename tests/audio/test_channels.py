from __future__ import annotations

import logging

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.audio.channels import mixed
from eeg2speech.audio.files import read_mono
from eeg2speech.core.errors import DataError
from tests.audio.sounds import clicks, talk

RATE = 16_000.0


def stereo(left, right):
    return np.stack([left, right], axis=1)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (talk(0), ""),
        (0.2 * talk(0), ""),
        (np.roll(talk(0), 16), ""),  # a microphone 30 cm further away
        (talk(0) + 0.02 * talk(1), ""),
        (clicks(), "hold different sounds (left and right, correlation of their envelopes"),
        (talk(1), "hold different sounds (left and right, correlation of their envelopes"),
        (np.full(128_000, 0.2) * np.sin(np.arange(128_000)), "different sounds"),
        (0 * talk(0), "silent in one of its channels (right)"),
        (0.001 * talk(1), "silent in one of its channels (right)"),
    ],
    ids=["same", "quieter", "later", "with a little noise", "trigger", "talker", "hum", "silent", "nearly silent"],
)
def test_channels_that_hold_different_sounds_are_said(other, said, caplog):
    wave = mixed(stereo(talk(0), other.astype(np.float32)), RATE, "mean", "a.wav")
    assert np.allclose(wave, (talk(0) + other) / 2, atol=1e-6)
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


@pytest.mark.parametrize("order", ["left first", "right first"])
def test_the_louder_channel_decides_nothing(order, caplog):
    both = [talk(0), clicks()] if order == "left first" else [clicks(), talk(0)]
    mixed(stereo(*both), RATE, "mean", "a.wav")
    assert "different sounds" in caplog.text


@pytest.mark.parametrize("gain", [1.0, 0.8, 1.2])
def test_channels_that_cancel_each_other_are_refused(gain):
    with pytest.raises(
        DataError, match=r"a\.wav: its 2 channels cancel each other .*; name one of them, e\.g\. channel"
    ):
        mixed(stereo(talk(0), -gain * talk(0)), RATE, "mean", "a.wav")
    assert np.array_equal(mixed(stereo(talk(0), -gain * talk(0)), RATE, "left", "a.wav"), talk(0))


@pytest.mark.parametrize(
    ("channel", "expected"), [("left", 0), ("right", 1), (0, 0), (1, 1), (2, 2), (np.int64(2), 2), ("mean", None)]
)
def test_one_channel_can_be_chosen(channel, expected, caplog):
    surround = np.stack([talk(seed) for seed in range(6)], axis=1)
    wave = mixed(surround, RATE, channel, "a.wav")
    assert np.allclose(wave, surround.mean(axis=1) if expected is None else surround[:, expected], atol=1e-6)
    assert ("channel 0 and channel" in caplog.text) == (expected is None) or "different sounds" in caplog.text


@pytest.mark.parametrize("channel", [2, -1, True, "middle", 0.5, None])
def test_channels_that_are_not_there_are_named(channel):
    with pytest.raises(DataError, match=r"a\.wav: has no channel=.* among its 2; name one from 0 to 1, left or right"):
        mixed(stereo(talk(0), talk(0)), RATE, channel, "a.wav")


def test_arrays_are_read_either_way_round():
    both = stereo(talk(0), 0.5 * talk(0))
    for array in (both, both.T, np.asfortranarray(both)):
        assert np.allclose(mixed(array, RATE, "mean", "x"), 0.75 * talk(0), atol=1e-6)
    assert np.array_equal(mixed(talk(0), RATE, "mean", "x"), talk(0))
    assert np.array_equal(mixed(talk(0)[:, None], RATE, "left", "x"), talk(0))
    for shape in ((2, 2, 100), (), (0,), (0, 2)):
        with pytest.raises(DataError, match="a waveform of shape"):
            mixed(np.zeros(shape, np.float32), RATE, "mean", "x")


@given(samples=st.integers(1, 400), channels=st.integers(1, 4), rate=st.sampled_from([1000.0, 8000.0]))
def test_the_mean_of_any_length_is_the_mean(samples, channels, rate):
    array = np.random.default_rng(samples).uniform(0, 0.5, (samples + 10, channels)).astype(np.float32)
    assert np.allclose(mixed(array, rate, "mean", "x"), array.mean(axis=1), atol=1e-6)


def test_blocks_of_a_long_file_make_one_waveform(tmp_path, caplog):
    rate, seconds = 8000, 70  # three blocks
    both = stereo(talk(0, seconds, rate), clicks(seconds, rate))
    soundfile.write(tmp_path / "a.wav", both, rate, subtype="FLOAT")
    wave, found = read_mono(tmp_path / "a.wav")
    assert found == rate
    assert np.allclose(wave, both.mean(axis=1), atol=1e-6)
    (line,) = caplog.messages
    r = np.corrcoef(np.sqrt(np.square(both).reshape(-1, 160, 2).mean(axis=1)).T)[0, 1]
    assert f"correlation of their envelopes {r:.2f}" in line
    assert np.array_equal(read_mono(tmp_path / "a.wav", "right")[0], both[:, 1])


def test_clipping_is_said_and_loud_speech_is_not(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    loud = talk(0) / np.abs(talk(0)).max()
    for name, wave, clipped in (("loud", loud, False), ("hot", 8 * loud, True), ("tone", None, False)):
        if wave is None:
            wave = 0.98 * np.sin(np.arange(40_000) / 30)
        caplog.clear()
        soundfile.write(tmp_path / f"{name}.wav", np.clip(wave, -1, 1), 16_000)
        read_mono(tmp_path / f"{name}.wav")
        assert ("of the sound is clipped" in caplog.text) == clipped
    caplog.clear()
    soundfile.write(tmp_path / "one.wav", np.clip(stereo(loud, 8 * loud), -1, 1), 16_000)  # the mean stays below 1
    read_mono(tmp_path / "one.wav")
    assert "of the sound is clipped" in caplog.text
