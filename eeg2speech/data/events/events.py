"""Events of a recording: rows of an ``events.tsv``, or annotations inside the file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mne.io import BaseRaw

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.bids_layout import Row, read_rows
from eeg2speech.data.files.edf_records import annotations_of
from eeg2speech.data.files.reading import wrap_read_errors


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
        twins: ``where`` of annotations at the same sample, for a trigger: perhaps the same event, twice in the file.
    """

    onset: float
    duration: float | None
    name: str
    columns: dict[str, str]
    where: str
    sampled: bool = False
    twins: tuple[str, ...] = ()


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


def annotated_events(raw: BaseRaw, file: Path, clocked: bool = False) -> list[Event]:
    """Annotations of a recording as events, whose ``trial_type`` is the annotation's text.

    Args:
        raw: The recording.
        file: Its file.
        clocked: The file has a clock that went on while nothing was recorded. Its annotations are then read from the
            file itself: mne cuts off what lies behind the length of the samples.
    """
    if clocked:
        with wrap_read_errors(file):
            notes = annotations_of(file)
    else:
        notes = [
            (float(note["onset"] - raw.first_time), float(note["duration"]), str(note["description"]))
            for note in raw.annotations
        ]
    events = []
    for number, (onset, duration, text) in enumerate(notes, start=1):
        columns = {"onset": f"{onset:.9g}", "duration": f"{duration:.9g}", "trial_type": text}
        events.append(Event(onset, duration or None, text, columns, f"{file}: annotation {number} ({text})"))
    return without_marks(events, float(raw.info["sfreq"]))


def without_marks(events: Iterable[Event], rate: float) -> list[Event]:
    """Events, without a duration where it is one sample or less: that marks a place, such as a BrainVision marker."""
    return [
        replace(event, duration=None) if event.duration is not None and event.duration * rate < 1.01 else event
        for event in events
    ]
