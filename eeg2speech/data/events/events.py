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
    """An event of a recording.

    Attributes:
        onset: Seconds of EEG.
        duration: Seconds; None where it is unknown or zero.
        name: ``trial_type``, else ``value``.
        columns: Cell by column; empty where the value is unknown.
        where: Table and line, for error messages.
        sampled: True where the onset counts samples of the recording, which do not advance during interruptions.
        twins: For a trigger, ``where`` of the annotations at the same sample: perhaps the same event.
    """

    onset: float
    duration: float | None
    name: str
    columns: dict[str, str]
    where: str
    sampled: bool = False
    twins: tuple[str, ...] = ()


def read_events(file: Path) -> list[Event]:
    """Read an ``events.tsv``. Rows without an onset, of events that did not happen, are skipped.

    Raises:
        DataError: The file is no such table; the message names file and line.
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
        file: File of the recording.
        clocked: The file has a clock that runs on during interruptions. Its annotations are then read from the file
            itself: mne cuts off those after the length of the samples.
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
    """Events without durations of one sample or less: these mark a time, as a BrainVision marker does."""
    return [
        replace(event, duration=None) if event.duration is not None and event.duration * rate < 1.01 else event
        for event in events
    ]
