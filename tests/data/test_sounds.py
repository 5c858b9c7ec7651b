from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.core.errors import DataError
from eeg2speech.data.files import sounds
from eeg2speech.data.files.sounds import read_npz, sound_at, sound_seconds

WAVE = 0.5 * np.sin(np.arange(8000) / 20)


def archive(file, **arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    content = stream.getvalue()
    file.write_bytes(gzip.compress(content) if file.name.endswith(".gz") else content)
    return file


@pytest.mark.parametrize("name", ["a.npz", "a.npz.gz"])
def test_archives_give_waveform_and_rate(tmp_path, name):
    file = archive(tmp_path / name, audio=WAVE, fs=16_000)
    wave, rate = sound_at(file)()
    assert rate == 16_000
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, WAVE, atol=1e-7)
    assert sound_seconds(file) == 0.5


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "uint16"])
def test_integers_are_scaled_by_their_range(tmp_path, dtype):
    info = np.iinfo(dtype)
    middle = (int(info.max) + int(info.min) + 1) // 2
    scale = int(info.max) - middle
    file = archive(tmp_path / "a.npz", audio=np.round(middle + WAVE * scale).astype(dtype), fs=[8000])
    np.testing.assert_allclose(read_npz(file)[0], WAVE, atol=1.5 / scale + 1e-6)
    file = archive(tmp_path / "a.npz", audio=np.array([info.min, info.max], dtype), fs=8000)
    assert read_npz(file)[0].min() == -1
    assert read_npz(file)[0].max() <= 1


@pytest.mark.parametrize("order", ["F", "C"])
def test_channels_are_averaged(tmp_path, order):
    stereo = np.stack([WAVE, 0 * WAVE])
    file = archive(tmp_path / "a.npz", audio=stereo if order == "C" else stereo.T, fs=16_000)
    np.testing.assert_allclose(read_npz(file)[0], WAVE / 2, atol=1e-7)


def test_pickled_objects_are_refused(tmp_path):
    for name in ("a.npz", "a.npz.gz"):
        file = archive(tmp_path / name, audio=np.array([{"a": 1}], object), fs=16_000)
        with pytest.raises(DataError, match=r"a\.npz.*holds Python objects, which are never read"):
            read_npz(file)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"audio": WAVE}, "holds audio, no 'fs'"),
        ({"fs": 1}, "holds fs, no 'audio'"),
        ({}, "holds nothing, no 'audio'"),
        ({"audio": WAVE, "fs": 0}, "at 0 Hz"),
        ({"audio": WAVE, "fs": np.inf}, "at inf Hz"),
        ({"audio": WAVE[:0], "fs": 1}, r"shape \(0,\)"),
        ({"audio": WAVE.reshape(2, 2, -1), "fs": 1}, r"shape \(2, 2, 2000\)"),
        ({"audio": WAVE * 1j, "fs": 1}, "a sound of complex128"),
        ({"audio": np.array(["a"]), "fs": 1}, "a sound of <U1"),
        ({"audio": WAVE, "fs": [1, 2]}, "cut short or damaged"),
    ],
)
def test_archives_that_hold_no_sound_are_named(tmp_path, arrays, message):
    with pytest.raises(DataError, match=rf"a\.npz: .*{message}"):
        read_npz(archive(tmp_path / "a.npz", **arrays))


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "LARGEST", 50_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_npz(archive(tmp_path / "a.npz.gz", audio=WAVE, fs=1))
    stream = io.BytesIO()
    np.savez_compressed(stream, audio=0 * WAVE, fs=1)
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="unpacks to more than"):
        read_npz(tmp_path / "a.npz")


@given(st.floats(0, 0.999), st.booleans())
def test_archives_cut_short_are_named(tmp_path_factory, share, zipped):
    file = tmp_path_factory.mktemp("cut") / ("a.npz.gz" if zipped else "a.npz")
    content = archive(file, audio=WAVE[:500], fs=16_000).read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"a\.npz(\.gz)?: "):
        read_npz(file)


def test_sound_files_keep_their_path_and_tell_their_length(tmp_path):
    for name in ("a.wav", "a.flac", "A.WAV", "a.ogg"):
        soundfile.write(tmp_path / name, WAVE, 16_000)
        assert sound_at(tmp_path / name) == tmp_path / name
        assert sound_seconds(tmp_path / name) == pytest.approx(0.5, abs=0.01)


def test_missing_unknown_and_damaged_sounds_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.wav: missing; download it"):
        sound_seconds(tmp_path / "a.wav")
    (tmp_path / "a.doc").write_text("")
    with pytest.raises(DataError, match=r"a\.doc: unknown kind of sound; convert it to one of \.wav"):
        sound_at(tmp_path / "a.doc")
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"a\.wav: cut short or damaged"):
        sound_seconds(tmp_path / "a.wav")


def test_a_sound_that_was_replaced_is_measured_anew(tmp_path):
    soundfile.write(tmp_path / "a.wav", WAVE, 16_000)
    assert sound_seconds(tmp_path / "a.wav") == 0.5
    soundfile.write(tmp_path / "a.wav", WAVE[:4000], 8_000)
    assert sound_seconds(tmp_path / "a.wav") == 0.5
    soundfile.write(tmp_path / "a.wav", WAVE[:4000], 16_000)
    assert sound_seconds(tmp_path / "a.wav") == 0.25
