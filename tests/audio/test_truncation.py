from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from eeg2speech.audio.files import read_mono
from eeg2speech.audio.truncation import TRIMMED, mp3_samples
from eeg2speech.core.errors import DataError
from eeg2speech.data.files.sounds import sound_seconds
from tests.audio.sounds import talk

FORMATS = {
    "wav": {}, "aiff": {}, "flac": {}, "mp3": {}, "ogg": {}, "opus": {"format": "OGG", "subtype": "OPUS"}, "au": {}
}  # fmt: skip
WAVE = talk(0, 6.0)


def write(folder, suffix):
    file = folder / f"a.{suffix}"
    soundfile.write(file, WAVE, 16_000, **FORMATS[suffix])
    return file


@pytest.mark.filterwarnings("ignore:.*Xing")
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("suffix", FORMATS)
def test_files_that_end_early_are_named(tmp_path, suffix, share):
    file = write(tmp_path, suffix)
    wave, _ = read_mono(file)
    assert len(wave) == pytest.approx(len(WAVE), abs=2000)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=rf"a\.{suffix}: (cut short|cannot be read as sound)"):
        read_mono(file)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "ogg", "opus"])
def test_the_length_of_a_file_that_ends_early_is_not_told(tmp_path, suffix):
    file = write(tmp_path, suffix)
    assert sound_seconds(file) == pytest.approx(6, abs=0.1)
    file.write_bytes(file.read_bytes()[:-20_000])
    with pytest.raises(DataError, match=rf"a\.{suffix}: cut short"):
        sound_seconds(file)


def test_the_seconds_that_are_there_and_missing_are_said(tmp_path):
    file = write(tmp_path, "wav")
    file.write_bytes(file.read_bytes()[: 44 + 2 * 16_000 * 2])
    with pytest.raises(DataError, match=r"a\.wav: cut short, 2\.00 s of the 6\.00 s in its header; download it again"):
        read_mono(file)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 2 * 6 * 16_000 + 1])
def test_headers_that_do_not_know_the_length_are_no_fault(tmp_path, size):
    file = write(tmp_path, "wav")
    content = bytearray(file.read_bytes())
    place = content.index(b"data")
    content[place + 4 : place + 8] = struct.pack("<I", size)
    file.write_bytes(content)
    assert len(read_mono(file)[0]) == len(WAVE)


def test_a_header_that_is_full_of_text_hides_nothing(tmp_path):
    file = write(tmp_path, "wav")
    content = file.read_bytes()
    text = b"INFO" + b"".join(b"ICMT" + struct.pack("<I", 200) + b"x" * 200 for _ in range(40))
    place = content.index(b"data")
    long = content[:place] + b"LIST" + struct.pack("<I", len(text)) + text + content[place:]
    long = long[:4] + struct.pack("<I", len(long) - 8) + long[8:]
    file.write_bytes(long)
    assert len(read_mono(file)[0]) == len(WAVE)
    file.write_bytes(long[:-50_000])
    with pytest.raises(DataError, match="cut short"):
        read_mono(file)


def mp3(folder, rate=16_000, mode="VARIABLE", channels=1):
    """An MP3 file, and its content without the first frame, which counts the others."""
    file = folder / "a.mp3"
    soundfile.write(file, np.stack([WAVE] * channels, 1), rate, bitrate_mode=mode)
    content = file.read_bytes()
    return file, content[content.index(content[:2], 4) :]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_frames_of_an_mp3_file_are_all_counted(tmp_path, rate, mode, channels):
    file, uncounted = mp3(tmp_path, rate, mode, channels)
    assert 0 < mp3_samples(file) - len(WAVE) <= TRIMMED
    assert len(read_mono(file)[0]) == len(WAVE)
    tags = b"ID3\x03\0\0\0\0\x07v" + b"\xff\xfb\x90" * 341 + b"\0"
    counted = mp3_samples(file)
    file.write_bytes(tags + uncounted + b"TAG" + bytes(125))
    assert counted - 1152 <= mp3_samples(file) < counted


def test_an_mp3_file_whose_frames_nobody_counts_is_not_cut(tmp_path):
    soft = np.concatenate([WAVE[:16_000], np.zeros(80_000, np.float32)])  # its first frames are larger than the others
    file, _ = mp3(tmp_path)
    soundfile.write(file, soft, 16_000, bitrate_mode="VARIABLE")
    content = file.read_bytes()
    file.write_bytes(content[content.index(content[:2], 4) :])
    for read in (read_mono, sound_seconds):
        with pytest.raises(DataError, match=r"a\.mp3: holds 6\.\d\d s by its frames .* only the first [0-4]\.\d\d s"):
            read(file)


@pytest.mark.filterwarnings("ignore:.*Xing")
@pytest.mark.parametrize(("suffix", "holds"), [("mp3", "12"), ("ogg", "2 sounds"), ("opus", "2 sounds")])
def test_joined_files_are_not_cut_to_the_first(tmp_path, suffix, holds):
    file = write(tmp_path, suffix)
    file.write_bytes(2 * file.read_bytes())
    for read in (read_mono, sound_seconds):
        with pytest.raises(DataError, match=rf"a\.{suffix}: holds {holds}.* only the first 6\.00 s .*ffmpeg"):
            read(file)


def test_a_header_of_no_bytes_before_samples_is_said(tmp_path):
    file = write(tmp_path, "wav")
    content = file.read_bytes()
    for kept in (content[44:], bytes(64), b"LIST\x04\0\0\0abcd", b""):
        file.write_bytes(content[:40] + bytes(4) + kept)
        if kept[:4] in (b"LIST", b""):
            assert len(read_mono(file)[0]) == 0
        else:
            for read in (read_mono, sound_seconds):
                with pytest.raises(DataError, match=r"a\.wav: its header states 0 bytes of sound, but more follow"):
                    read(file)


def test_tags_after_the_sound_are_no_fault(tmp_path):
    for suffix in ("wav", "ogg", "mp3"):
        file = write(tmp_path, suffix)
        file.write_bytes(file.read_bytes() + b"LIST\x04\0\0\0abcd")
        assert np.abs(read_mono(file)[0]).max() > 0.1
