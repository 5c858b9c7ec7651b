"""Sound behind what libsndfile reads: frames of an MP3 file that nothing counts, further streams of an Ogg file."""

from __future__ import annotations

from pathlib import Path

TRIMMED = 4 * 1152
"""Samples that MP3 encoders put before and behind a sound, and players take off again, at most."""
_RATES = (44_100, 48_000, 32_000)
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # kilobits per second by version and layer of MPEG


def mp3_samples(file: Path) -> int:
    """Samples of each channel in an MP3 file, counted frame by frame; those that encoders add count too."""
    content = file.read_bytes()
    at = samples = 0
    while 0 <= at < len(content) - 3:
        if content[at : at + 3] == b"ID3" and at + 10 <= len(content):
            size = content[at + 6 : at + 10]
            at += 10 + sum((byte & 127) << 7 * (3 - place) for place, byte in enumerate(size))
            continue
        length, more = _frame(content, at)
        # what looks like a frame in the midst of text or a picture is not followed by another one
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
