"""Sound files that end before their header or their last page says, or of which libsndfile reads the beginning only."""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

from eeg2speech.audio.streams import TRIMMED, mp3_samples, ogg_streams
from eeg2speech.core.errors import DataError

SHORT = 0.01
"""Seconds that may be missing: some programs count a byte or two too many."""
OPEN = 0x7FFFF000
"""Bytes from which a size stands for "until the end", as programs that write into a pipe leave it."""
_LOG = 2000  # characters after which libsndfile's account of the header is cut
_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_OUTER = re.compile(r"^(?:RIFF|FORM)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_ANEW = "write it anew, as one sound (`ffmpeg -i OLD NEW.wav`)"
_HEADER = 1 << 16  # bytes in which the samples of a file begin
_PAGE = 65_307  # largest page of an Ogg stream in bytes


def check_whole(file: Path, sound: soundfile.SoundFile) -> None:
    """Refuse a sound file that was cut short, as far as its header or its last page shows, or is longer than is read.

    Args:
        file: Its path.
        sound: The same, opened.

    Raises:
        DataError: It is shorter than it says, or longer.
    """
    seconds = sound.frames / sound.samplerate
    if sound.format == "OGG":
        if not _ends_with_last_page(file):
            raise DataError(f"{file}: cut short after {seconds:.2f} s; download it again")
        streams = ogg_streams(file)
        if streams > 1:
            raise _longer(file, seconds, f"{streams} sounds, one after the other")
        return
    if sound.format == "MP3":
        held = mp3_samples(file)
        if held - sound.frames > TRIMMED:
            why = "its header counts fewer, or there is none"
            raise _longer(file, seconds, f"{held / sound.samplerate:.2f} s by its frames ({why})")
        return
    if sound.frames == 0 and _has_uncounted_samples(file):
        raise DataError(f"{file}: its header says 0 bytes of sound, but more follow; {_ANEW}")
    account = sound.extra_info
    found = _SIZES.search(account) or (_OUTER.search(account) if len(account) > _LOG else None)
    if found:
        promised, there = int(found[1]), int(found[2])
        missing = seconds * (promised / there - 1) if there > 0 else float("inf")
        if there < promised < OPEN and missing > SHORT:
            raise short(file, seconds, seconds + missing)


def short(file: Path, there: float, promised: float) -> DataError:
    """The error for a file that holds ``there`` seconds of ``promised``."""
    return DataError(f"{file}: cut short, {there:.2f} s of the {promised:.2f} s in its header; download it again")


def _longer(file: Path, seconds: float, holds: str) -> DataError:
    return DataError(f"{file}: holds {holds}, of which only the first {seconds:.2f} s would be read; {_ANEW}")


def _has_uncounted_samples(file: Path) -> bool:
    """Whether a chunk of samples of size 0 is followed by what is no chunk."""
    with file.open("rb") as stream:
        start = stream.read(_HEADER)
    for mark in (b"data\0\0\0\0", b"SSND\0\0\0\0"):
        if mark in start:
            following = start[start.index(mark) + len(mark) :][:4]
            return len(following) == 4 and not following.decode("latin-1").strip().isalnum()
    return False


def _ends_with_last_page(file: Path) -> bool:
    """Whether the last page of an Ogg file is marked as such and is all there."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - 2 * _PAGE))
        tail = stream.read()
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
