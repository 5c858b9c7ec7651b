"""Sound files that were cut short: libraries read what is left of them without a word."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from eeg2speech.data.reading import reading
from eeg2speech.errors import DataError

UNSAID = (0, 2**32 - 1)
"""Sizes in the header of a file that was written into a pipe, and in that of a large one, which says it elsewhere."""
TOLERANCE = 0.01
"""Seconds that may be missing: some programs count the header's own bytes."""


def check_whole(file: Path, samples: int, rate: float) -> None:
    """Refuse a sound of which less can be read than its header promises.

    Args:
        file: The sound.
        samples: How many could be read.
        rate: Samples per second.

    Raises:
        DataError: It was cut short.
    """
    with reading(file):
        promised = _promised(file)
    if promised is not None and promised - samples > TOLERANCE * rate:
        raise DataError(
            f"{file}: cut short, {samples / rate:.1f} of {promised / rate:.1f} s can be read; download it again"
        )


def _promised(file: Path) -> int | None:
    """Samples that the header promises, None if it does not say."""
    with file.open("rb") as stream:
        kind, _, form = struct.unpack("4s4s4s", stream.read(12).ljust(12, b"\0"))
        if kind in (b"RIFF", b"RF64") and form == b"WAVE":
            return _of_wave(stream)
        if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
            return next(
                (struct.unpack(">hL", stream.read(6))[1] for name, _ in _chunks(stream, ">") if name == b"COMM"), None
            )
    return int(soundfile.info(file).frames)


def _of_wave(stream: BinaryIO) -> int | None:
    bytes_of_sample, large = 0, 0
    for name, size in _chunks(stream, "<"):
        if name == b"ds64":
            large = struct.unpack("<QQ", stream.read(16))[1]
        elif name == b"fmt ":
            bytes_of_sample = struct.unpack("<HHLLH", stream.read(14))[4]
        elif name == b"data":
            said = large if size in UNSAID else size
            return said // bytes_of_sample if said and bytes_of_sample else None
    return None


def _chunks(stream: BinaryIO, order: str) -> Iterator[tuple[bytes, int]]:
    """Name and bytes of every chunk, whose content the stream stands before."""
    while len(header := stream.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sL", header)
        begin = stream.tell()
        yield name, size
        stream.seek(begin + size + size % 2)
