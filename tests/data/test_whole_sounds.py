from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from eeg2speech.audio import read_audio
from eeg2speech.data.whole_sounds import check_whole
from eeg2speech.errors import DataError

RATE = 8000
WAVE = 0.3 * np.random.default_rng(0).standard_normal(2 * RATE).clip(-3, 3)


def check(file):
    wave, rate = read_audio(file)
    check_whole(file, len(wave), rate)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "mp3", "ogg", "opus"])
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_sounds_pass(tmp_path, suffix, channels):
    file = tmp_path / f"s.{suffix}"
    opus = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(file, np.repeat(WAVE[:, None], channels, 1), RATE, **opus)
    check(file)


@pytest.mark.parametrize("kind", ["RF64", "WAVEX", "WAV"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT"])
def test_every_kind_of_wave_is_measured(tmp_path, kind, subtype):
    if (kind, subtype) == ("WAVEX", "PCM_U8"):
        subtype = "PCM_16"
    file = tmp_path / "s.wav"
    soundfile.write(file, WAVE, RATE, format=kind, subtype=subtype)
    check(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"s\.wav: cut short, 1\.0 of 2\.0 s can be read; download it again"):
        check(file)


@pytest.mark.parametrize("suffix", ["aiff", "flac"])
def test_sounds_cut_short_are_named(tmp_path, suffix):
    file = tmp_path / f"s.{suffix}"
    soundfile.write(file, WAVE, RATE)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"s\.{suffix}: "):
        check(file)


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_a_wave_from_a_pipe_does_not_say_how_long_it_is(tmp_path, size):
    file = tmp_path / "s.wav"
    soundfile.write(file, WAVE, RATE, subtype="PCM_16")
    head, _, data = file.read_bytes().partition(b"data")
    file.write_bytes(head + b"data" + struct.pack("<L", size) + data[4:])
    check_whole(file, 10, RATE)


def test_a_header_that_is_damaged_is_named(tmp_path):
    (tmp_path / "s.wav").write_bytes(b"RIFF....WAVEfmt \x10\0\0\0\1")
    with pytest.raises(DataError, match=r"s\.wav: cut short or damaged"):
        check_whole(tmp_path / "s.wav", 10, RATE)
