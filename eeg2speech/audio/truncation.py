"""Sound files that end before their header or their last page says."""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

from eeg2speech.errors import DataError

SHORT = 0.01
"""Seconds that may be missing: some programs count a byte or two too many."""
OPEN = 0x7FFFF000
"""Bytes from which a size stands for "until the end": programs that write into a pipe do not know it."""
_LOG = 2000  # characters after which libsndfile's account of the header is cut
_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_OUTER = re.compile(r"^(?:RIFF|FORM)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_PAGE = 65_307  # largest page of an Ogg stream in bytes


def check_whole(file: Path, sound: soundfile.SoundFile) -> None:
    """Refuse a sound file that was cut short, as far as its header or its last page shows.

    Args:
        file: Its path.
        sound: The same, opened.

    Raises:
        DataError: It is shorter than it says.
    """
    if sound.format == "OGG":
        if not _ends_with_last_page(file):
            raise DataError(f"{file}: cut short after {sound.frames / sound.samplerate:.2f} s; download it again")
        return
    account = sound.extra_info
    found = _SIZES.search(account) or (_OUTER.search(account) if len(account) > _LOG else None)
    if found:
        promised, there = int(found[1]), int(found[2])
        seconds = sound.frames / sound.samplerate
        missing = seconds * (promised / there - 1) if there > 0 else float("inf")
        if there < promised < OPEN and missing > SHORT:
            raise short(file, seconds, seconds + missing)


def short(file: Path, there: float, promised: float) -> DataError:
    """The error for a file that holds ``there`` seconds of ``promised``."""
    return DataError(f"{file}: cut short, {there:.2f} s of the {promised:.2f} s in its header; download it again")


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
