"""Events of a recording: rows of an ``events.tsv``, or annotations inside the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mne.io import BaseRaw

from eeg2speech.data.readers.bids_layout import Row, read_rows
from eeg2speech.errors import DataError


@dataclass(frozen=True)
class Event:
    """Something that happened during a recording.

    Attributes:
        onset: Seconds of EEG.
        duration: Seconds; None where it is not known or zero.
        name: What happened: ``trial_type``, else ``value``.
        columns: Cell by column; empty where nothing is known.
        where: Table and line, for error messages.
        sampled: True where the onset is counted in samples of the recording, which stand still while it is interrupted.
    """

    onset: float
    duration: float | None
    name: str
    columns: dict[str, str]
    where: str
    sampled: bool = False


def read_events(file: Path) -> list[Event]:
    """Read an ``events.tsv``. Rows without an onset, of things that never happened, are passed over.

    Raises:
        DataError: It is no such table; names file and line.
    """
    events = []
    for row in read_rows(file):
        if "onset" not in row.cells:
            raise DataError(f"{file}: no column 'onset'; add it, in seconds")
        onset, duration = _seconds(row, "onset"), _seconds(row, "duration")
        if duration is not None and duration < 0:
            raise DataError(f"{row.where}: duration {duration:g} s; correct it, n/a if it is not known")
        if onset is not None:
            name = row.cells.get("trial_type") or row.cells.get("value", "")
            events.append(Event(onset, duration or None, name, row.cells, row.where))
    return events


def _seconds(row: Row, column: str) -> float | None:
    cell = row.cells.get(column, "")
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{row.where}: {column} {cell!r} is no number of seconds; correct it, n/a if it is not known")
    return value


def annotated_events(raw: BaseRaw, file: Path) -> list[Event]:
    """Annotations of a recording as events, whose ``trial_type`` is the annotation's text."""
    events = []
    for number, note in enumerate(raw.annotations, start=1):
        onset, duration, text = float(note["onset"] - raw.first_time), float(note["duration"]), str(note["description"])
        columns = {"onset": f"{onset:.9g}", "duration": f"{duration:.9g}", "trial_type": text}
        events.append(Event(onset, duration or None, text, columns, f"{file}: annotation {number} ({text})"))
    return events
