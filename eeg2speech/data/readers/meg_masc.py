"""Reader of MEG-MASC: MEG of people who listen twice to four stories (doi 10.1038/s41597-023-02752-5)."""

from __future__ import annotations

import ast
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import mne

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.raw import BaseRaw, from_file
from eeg2speech.data.files.reading import inside, read_csv, wrap_read_errors
from eeg2speech.data.files.signal_files import signal_files
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.base import Reader, missing_source, select

SUFFIXES = (".con", ".sqd", ".fif")
LONGEST = 2000
"""Longest description of an event, in characters, that is given to Python's parser."""
NAME = re.compile(r"sub-(\w+?)_ses-(\w+?)_task-(\w+?)_events\.tsv")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoryEvent:
    """One row of a table of events.

    Attributes:
        onset: Seconds of the recording.
        line: Line of the table.
        about: Content of the column ``trial_type``: ``kind``, ``sound``, ``start``, ``word``, ...
    """

    onset: float
    line: int
    about: dict[str, Any]


@dataclass
class MegMasc(Reader):
    """MEG-MASC: 208-channel KIT MEG of people who listen to stories (osf.io/ag3kj, doi 10.1038/s41597-023-02752-5).

    Merge the parts on OSF (ag3kj, h2tzn, u5327, dr4wy) into one folder. Every sound file of a story is a segment, with
    its words as text. Sensor positions are those in the machine, equal for all participants, not relative to the head.

    The tables are read as the authors' code and public loaders describe them. The reader was tested on FIF files with
    tables written in that layout; no KIT file has been read, which is left to mne.

    Attributes:
        root: Folder that holds sub-01, ... and stimuli/audio.
        sessions: Sessions to read: 0, 1; both if not given. The second session repeats the stories of the first.
    """

    name = "meg_masc"
    title = "MEG-MASC"
    url = "https://osf.io/ag3kj"
    license = "CC0"
    citation = (
        "L. Gwilliams, G. Flick, A. Marantz, L. Pylkkänen, D. Poeppel, J.-R. King, Introducing MEG-MASC: a "
        "high-quality magneto-encephalography dataset for evaluating natural speech processing, Sci. Data 10, 862, 2023"
    )

    layout = "sub-01/ses-0/meg/sub-01_ses-0_task-0_meg.con and its events.tsv, or the like"

    sessions: list[str | int] | None = None

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant, session and story."""
        tables = sorted(root.glob("sub-*/ses-*/meg/sub-*_events.tsv"))
        named = {file: match.groups() for file in tables if (match := NAME.fullmatch(file.name))}
        sessions = select(sorted({session for _, session, _ in named.values()}), self.sessions, root) if named else []
        sounds = sorted((root / "stimuli" / "audio").glob("*.wav"))
        for events, (subject, session, task) in named.items():
            if session not in sessions:
                continue
            stem = events.name.removesuffix("_events.tsv")
            signal = next((f for s in SUFFIXES if is_listed(f := events.with_name(f"{stem}_meg{s}"))), None)
            if signal is None:
                message = f"{events}: no {stem}_meg.con beside it; download it"
                yield missing_source(stem, subject, session, task, message)
                continue
            inputs = (*signal_files(signal), events, *sounds)
            yield Source(stem, subject, session, task, inputs, partial(read_meg_masc, root, signal, events, stem))


def read_meg_masc(root: Path, signal: Path, events: Path, recording: str) -> RawRecording:
    """Read one story: a segment per sound file, with its words as text."""
    with wrap_read_errors(signal):
        raw: BaseRaw
        if signal.suffix == ".fif":
            raw = mne.io.read_raw_fif(signal, verbose="ERROR")
        else:
            raw = mne.io.read_raw_kit(signal, verbose="ERROR")
    found = from_file(raw, signal, ("mag", "grad"))
    end = found.eeg.shape[1] / found.rate
    rows = sorted(read_events(events), key=lambda event: event.onset)
    words = [event for event in rows if event.about["kind"] == "word"]
    played = [event for event in rows if event.about["kind"] == "sound"]
    stimuli: dict[str, Sound] = {}
    for event, following in zip_longest(played, played[1:]):
        where = f"{events}: line {event.line}"
        name, start = event.about.get("sound"), _number(event.about.get("start", 0.0), where)
        if not isinstance(name, str) or start < 0:
            raise DataError(f"{where}: names the sound {name!r} from {start:g} s; correct it")
        file = _sound_file(root, name, where)
        stop = min(event.onset + sound_seconds(file) - start, following.onset if following else end, end)
        first = max(event.onset, 0.0)
        if stop <= first:
            logger.warning("%s: %s lies outside the recording; left out", where, name)
            found.lost.append(Lost("segment", "its sound lies outside the recording", name))
            continue
        stimuli[file.stem] = sound_at(file)
        text = " ".join(str(word.about.get("word", "")) for word in words if first <= word.onset < stop)
        offset = start + first - event.onset
        found.segments.append(Segment(recording, first, stop - first, file.stem, offset, "listening", text=text))
    if not played:
        logger.warning("%s: has no rows of sounds; the recording is kept without a sound", events)
        found.lost.append(Lost("sound", "its table of events has no sounds"))
    found.segments = found.segments or [silent(recording, end)]
    found.stimuli = stimuli
    return found


def read_events(file: Path) -> list[StoryEvent]:
    """Sounds and words of a table of events, whose descriptions are Python dictionaries as text.

    Raises:
        DataError: The table is damaged, or a description is no dictionary of plain values.
    """
    events = []
    for line, row in enumerate(read_csv(file, ("onset", "trial_type"), "\t"), start=2):
        if re.search(r"""['"]kind['"]\s*:\s*['"]phoneme['"]""", row["trial_type"]):
            continue  # nine of ten rows
        where = f"{file}: line {line}"
        events.append(StoryEvent(_number(row["onset"], where), line, _description(row["trial_type"], where)))
    return events


def _description(text: str, where: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise DataError(f"{where}: a description of {len(text)} characters, at most {LONGEST} are read; correct it")
    try:
        about = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(f"{where}: trial_type {text[:60]!r} is no dictionary; download it again") from error
    if not isinstance(about, dict) or not isinstance(about.get("kind"), str):
        raise DataError(f"{where}: trial_type {text[:60]!r} has no kind; download it again")
    return about


def _number(value: object, where: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {value!r} is not a number; download it again") from error
    if not math.isfinite(number):
        raise DataError(f"{where}: {value!r} is not a time; download it again")
    return number


def _sound_file(root: Path, name: str, named_in: str) -> Path:
    """The file of a sound; tables write its name in capitals, or with a second number that the file lacks."""
    lower = name.lower()
    candidates = (name, lower, re.sub(r"\.\d+(?=\.\w+$)", "", lower))
    files = [inside(root, candidate, named_in) for candidate in candidates]
    return next((file for file in files if is_listed(file)), files[0])
