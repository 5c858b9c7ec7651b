"""Checks that sound files are complete: some end before the length that their header or last page states.

libsndfile reads only the first stream of an Ogg file, and only the frames of an MP3 file that its header counts.
"""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

from eeg2speech.core.errors import DataError

SHORT = 0.01
"""Seconds that may be missing: some programs count a byte or two too many."""
OPEN = 0x7FFFF000
"""A size in bytes from here on means "until the end": programs that write into a pipe store such sizes."""
_LOG = 2000  # characters after which libsndfile's account of the header is cut
_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_OUTER = re.compile(r"^(?:RIFF|FORM)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_ANEW = "write it anew, as one sound (`ffmpeg -i OLD NEW.wav`)"
_HEADER = 1 << 16  # bytes in which the samples of a file begin
_PAGE = 65_307  # largest page of an Ogg stream in bytes
TRIMMED = 4 * 1152
"""Largest number of padding samples that MP3 encoders add before and after a sound, and players remove."""
_RATES = (44_100, 48_000, 32_000)
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # kilobits per second by version and layer of MPEG


def check_whole(file: Path, sound: soundfile.SoundFile) -> None:
    """Refuse a sound file that is shorter than its header or last page states, or holds more than libsndfile reads.

    Args:
        file: Its path.
        sound: The same file, opened.

    Raises:
        DataError: It is shorter or longer.
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
        raise DataError(f"{file}: its header states 0 bytes of sound, but more follow; {_ANEW}")
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
    """Whether a chunk of samples of size 0 is followed by bytes that do not start another chunk."""
    with file.open("rb") as stream:
        start = stream.read(_HEADER)
    for mark in (b"data\0\0\0\0", b"SSND\0\0\0\0"):
        if mark in start:
            following = start[start.index(mark) + len(mark) :][:4]
            return len(following) == 4 and not following.decode("latin-1").strip().isalnum()
    return False


def _ends_with_last_page(file: Path) -> bool:
    """Whether an Ogg file ends with a complete page that is marked as the last one."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - 2 * _PAGE))
        tail = stream.read()
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def mp3_samples(file: Path) -> int:
    """Number of samples of each channel in an MP3 file, counted frame by frame, with the encoder's padding."""
    content = file.read_bytes()
    at = samples = 0
    while 0 <= at < len(content) - 3:
        if content[at : at + 3] == b"ID3" and at + 10 <= len(content):
            size = content[at + 6 : at + 10]
            at += 10 + sum((byte & 127) << 7 * (3 - place) for place, byte in enumerate(size))
            continue
        length, more = _frame(content, at)
        # bytes of text or of a picture that look like a frame are not followed by another frame
        if length and (at + length >= len(content) or _frame(content, at + length)[0] or _tag(content, at + length)):
            samples += more if at + length <= len(content) else 0
            at += length
        else:
            at = content.find(b"\xff", at + 1)
    return samples


def ogg_streams(file: Path) -> int:
    """How many streams follow each other in an Ogg file; those that begin together, as with a picture, count once."""
    streams, begins = 0, False
    with file.open("rb") as stream:
        while len(head := stream.read(27)) == 27 and head[:4] == b"OggS":
            first = bool(head[5] & 2)
            streams += first and not begins
            begins = first
            stream.seek(sum(stream.read(head[26])), 1)
    return streams


def _frame(content: bytes, at: int) -> tuple[int, int]:
    """Bytes and samples of the MPEG frame at a place; 0 if there is none, or one of a bit rate that it does not say."""
    if at + 4 > len(content) or content[at] != 0xFF or content[at + 1] < 0xE0:
        return 0, 0
    second, third = content[at + 1], content[at + 2]
    version, layer, bits, rate = second >> 3 & 3, 4 - (second >> 1 & 3), third >> 4, third >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return 0, 0
    slower = {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and slower else 1152
    hertz = _RATES[rate] >> slower
    kbits = _KBITS[2 if slower else 1, layer][bits - 1]
    slot = 4 if layer == 1 else 1
    return slot * (samples // 8 // slot * 1000 * kbits // hertz + (third >> 1 & 1)), samples


def _tag(content: bytes, at: int) -> bool:
    return content[at : at + 3] in (b"TAG", b"ID3") or content[at : at + 4] == b"APET"
