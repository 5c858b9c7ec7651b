"""Times of the data records of EDF and BDF files, which show where the recorder paused."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
TIME = re.compile(rb"([+-]\d+(?:\.(\d*))?)\x14")
"""Onset of a data record, at the start of its first annotation signal, and its decimals."""
TEXT = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\0]+?)\x14\0")
"""An annotation: onset, optional duration, and texts, separated by 0x14."""
DRIFT = 0.05
"""Seconds by which the times of records may drift from their samples without a warning."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interruptions:
    """Pauses of a file.

    Attributes:
        pauses: Length in seconds, NaN where unknown, by the seconds of signal before the pause.
        clocked: The file's annotations are on a clock that runs on in pauses.
    """

    pauses: dict[float, float]
    clocked: bool


@dataclass(frozen=True)
class _Header:
    kind: str  # of the file: EDF+C, EDF+D, 24BIT, ...
    seconds: float  # of a data record
    labels: list[str]
    widths: list[int]  # bytes of each signal in a data record
    samples: list[int]  # of each signal in a data record
    begin: int  # of the first data record, in bytes


def interruptions_of(file: Path) -> Interruptions:
    """Find the pauses of an EDF+ or BDF+ file by the times of its records, or of a BioSemi file by its status channel.

    A pause lies between two records if the second begins later than the first one ends, by more than a sample, the
    rounding of the times, and twice their jitter: the largest amount by which a record begins too early.

    Raises:
        DataError: The file declares pauses (``EDF+D``), but the times of its records are missing or do not ascend.
        ValueError: The header is damaged.
    """
    header = _header(file)
    noted = next((number for number, label in enumerate(header.labels) if label in ANNOTATIONS), None)
    if noted is not None and header.seconds > 0:
        return Interruptions(_pauses(file, header, noted), clocked=True)
    if header.kind.startswith("24BIT") and "Status" in header.labels:
        return Interruptions(_epochs(file, header, header.labels.index("Status")), clocked=False)
    return Interruptions({}, clocked=False)


def annotations_of(file: Path) -> list[tuple[float, float, str]]:
    """Annotations of an EDF+ or BDF+ file, on the clock of its records, with 0 s at the first sample.

    Returns:
        Onset and duration in seconds, and text, in the order of the file.
    """
    header = _header(file)
    numbers = [number for number, label in enumerate(header.labels) if label in ANNOTATIONS]
    signals = [_signal(file, header, number) for number in numbers]
    begin = TIME.match(signals[0][0].tobytes()) if signals and len(signals[0]) else None
    start = float(begin[1]) if begin else 0.0
    found = []
    for records in zip(*signals, strict=True):
        for onset, duration, texts in (hit for record in records for hit in TEXT.findall(record.tobytes())):
            for text in filter(None, _decoded(texts).split("\x14")):
                what, _, channel = text.partition("@@")  # repeated for each of its channels
                note = (float(onset) - start, float(duration or 0), what if channel in header.labels else text)
                if note[2] == text or note not in found:
                    found.append(note)
    return found


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _header(file: Path) -> _Header:
    with file.open("rb") as stream:
        head = stream.read(256)
        width = 3 if head.startswith(b"\xff") else 2
        count = int(head[252:256])
        rest = stream.read(256 * count)
    labels = [rest[16 * n : 16 * (n + 1)].decode("latin-1").strip() for n in range(count)]
    counts = rest[216 * count :]
    samples = [int(counts[8 * n : 8 * (n + 1)]) for n in range(count)]
    kind = head[192:236].decode("latin-1").strip()
    return _Header(kind, float(head[244:252]), labels, [width * n for n in samples], samples, int(head[184:192]))


def _signal(file: Path, header: _Header, number: int) -> NDArray[np.uint8]:
    """Bytes of one signal, (records, bytes), as a memory map, so that the other signals are not read."""
    whole = sum(header.widths)
    records = (file.stat().st_size - header.begin) // whole
    if records < 1:
        return np.zeros((0, header.widths[number]), np.uint8)
    mapped = np.memmap(file, np.uint8, "r", offset=header.begin, shape=(records, whole))
    first = sum(header.widths[:number])
    return mapped[:, first : first + header.widths[number]]


def _pauses(file: Path, header: _Header, number: int) -> dict[float, float]:
    said = [TIME.match(record.tobytes()) for record in _signal(file, header, number)]
    pausing = header.kind[3:5] == "+D"
    if not said or None in said:
        if pausing and said:
            raise DataError(f"{file}: data record {said.index(None) + 1} has no time; export the recording again")
        return {}
    times = np.array([float(match[1]) for match in said if match])
    unit = 10.0 ** -max(len(match[2] or b"") for match in said if match)
    late = np.diff(times) - header.seconds
    early = max(0.0, -float(late.min(initial=0.0)))
    if early > header.seconds / 2:
        record = int(late.argmin()) + 1
        text = f"data record {record + 1} begins at {times[record]:g} s, the one before it at {times[record - 1]:g} s"
        if pausing:
            raise DataError(f"{file}: {text}; export the recording again")
        logger.warning("%s: its data records have times that do not ascend (%s); they are ignored", file, text)
        return {}
    rate = max(n for n, label in zip(header.samples, header.labels, strict=True) if label not in ANNOTATIONS)
    whole = math.isclose(header.seconds / unit, round(header.seconds / unit), abs_tol=1e-6)
    limit = max(header.seconds / max(rate, 1), 0.0 if whole else unit, 2 * early)
    later = np.flatnonzero(late > limit) + 1
    lost = times - times[0] - header.seconds * np.arange(len(times))
    pieces = np.searchsorted(later, np.arange(len(times)), side="right")
    before = np.concatenate([[0.0], lost[later]])
    drift = float(np.abs(lost - before[pieces]).max())
    if drift > max(DRIFT, limit):
        logger.warning(
            "%s: the times of its data records drift %.3g s from their samples; check its sampling rate",
            file,
            drift,
        )
    if later.size and not pausing:
        logger.warning(
            "%s: is declared continuous (%s), but %d of its data records begin later than the ones before them end; "
            "treated as pauses", file, header.kind or "EDF", later.size,
        )  # fmt: skip
    return {header.seconds * int(at): float(seconds) for at, seconds in zip(later, np.diff(before), strict=True)}


def _epochs(file: Path, header: _Header, number: int) -> dict[float, float]:
    """Times where bit 16 of the status rises: a BioSemi recording continues there after a pause."""
    new = (_signal(file, header, number)[:, 2::3] & 1).ravel()
    at = np.flatnonzero(np.diff(new.astype(np.int8)) > 0) + 1
    rate = header.samples[number] / header.seconds
    return {int(sample) / rate: math.nan for sample in at}
