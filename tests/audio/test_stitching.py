"""Windows of sound joined into one, and the files they go into."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.audio.files import wav_writer, write_wav
from eeg2speech.audio.stitching import MOST, Stitcher, cover
from eeg2speech.core.errors import DiskError


def joined(windows, starts, fade, match=True):
    stitcher = Stitcher(fade, match)
    return np.concatenate([*(stitcher.add(w, s) for w, s in zip(windows, starts, strict=True)), stitcher.finish()])


def rms(wave):
    return float(np.sqrt(np.mean(np.square(wave, dtype=float))))


@given(st.integers(1, 2000), st.integers(2, 300), st.data())
def test_windows_cover_every_sample_with_the_overlap_asked_for(samples, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    starts = cover(samples, window, overlap)
    if samples < window:
        assert starts == []
        return
    assert starts[0] == 0
    assert starts[-1] == samples - window
    steps = np.diff(starts)
    assert (steps >= 1).all()
    assert (steps <= window - overlap).all()
    assert len(starts) == 1 + -(-(samples - window) // (window - overlap))  # no more than it takes


@given(st.integers(100, 900), st.integers(0, 99), st.booleans())
def test_cuts_of_one_sound_join_into_it_again(samples, overlap, match):
    wave = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    starts = cover(samples, 100, overlap)
    again = joined([wave[start : start + 100] for start in starts], starts, min(overlap, 49), match)
    assert np.allclose(again, wave, atol=1e-5)


def test_unrelated_windows_keep_their_power_where_they_meet():
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((40, 8000)).astype(np.float32) * 0.1
    starts = [6000 * i for i in range(40)]
    whole = joined(windows, starts, 2000, match=False)
    fades = np.concatenate([whole[s + 700 : s + 1300] for s in starts[1:]])
    assert rms(fades) == pytest.approx(0.1, rel=0.03)  # a linear fade would leave 0.071


def test_a_window_follows_the_level_before_by_6_db_at_most():
    tone = np.sin(np.arange(8000) / 5).astype(np.float32)
    starts = [0, 6000, 12000]
    whole = joined([0.3 * tone, 0.2 * tone, 0.01 * tone], starts, 1000)
    assert rms(whole[8000:11000]) == pytest.approx(0.3 * rms(tone), rel=0.02)
    assert rms(whole[-3000:]) == pytest.approx(MOST * 0.01 * rms(tone), rel=0.02)
    quiet = joined([np.zeros(8000, np.float32), tone], starts[:2], 1000)
    assert rms(quiet[-3000:]) == pytest.approx(rms(tone), rel=0.02)  # silence tells no level


def test_a_gap_is_silent_and_long_overlaps_fade_midway():
    ones = np.ones(100, np.float32)
    assert np.array_equal(joined([ones, ones], [0, 150], 10), np.repeat([1, 0, 1], [100, 50, 100]))
    long = joined([ones, 3 * ones], [0, 20], 10, match=False)
    assert np.allclose(long[:55], 1)
    assert np.allclose(long[65:], 3)
    assert len(long) == 120


def test_pieces_come_as_soon_as_they_are_finished():
    stitcher = Stitcher(10)
    assert len(stitcher.add(np.ones(100, np.float32), 0)) == 0
    for i in range(1, 50):
        stitcher.add(np.ones(100, np.float32), 80 * i)
        assert len(stitcher._tail) <= 100


def test_wav_files_have_16_bits_and_appear_when_finished(tmp_path):
    file = tmp_path / "a.wav"
    with wav_writer(file) as write:
        write(np.full(100, 0.5, np.float32))
        assert not file.exists()
        write(np.full(100, 2.0, np.float32))
    info = soundfile.info(file)
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (16_000, 1, "PCM_16", 200)
    assert soundfile.read(file)[0][[0, 150]] == pytest.approx([0.5, 1.0], abs=1e-4)
    with contextlib.suppress(RuntimeError), wav_writer(tmp_path / "b.wav") as write:
        write(np.zeros(10, np.float32))
        raise RuntimeError
    assert [f.name for f in tmp_path.iterdir()] == ["a.wav"]
    with pytest.raises(DiskError, match=r"gone.*cannot be written"):
        write_wav(tmp_path / "gone" / "c.wav", np.zeros(10, np.float32))
