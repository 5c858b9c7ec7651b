"""Reader of MEG-MASC: MEG of 27 people who listen twice to four stories.

Reference: Gwilliams et al. 2023, Introducing MEG-MASC: a high-quality magneto-encephalography dataset for evaluating
natural speech processing, Scientific Data 10, 862, doi 10.1038/s41597-023-02752-5.
"""

from __future__ import annotations

import ast
import csv
import logging
import math
import re
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import mne

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.raw import BaseRaw, from_file
from eeg2speech.data.files.reading import inside, wrap_read_errors
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

    Merge the parts on OSF (ag3kj, h2tzn, u5327, dr4wy) into one folder.

    Attributes:
        root: Folder that holds sub-01, ... and stimuli/audio.
        sessions: Of 0 and 1; both if not given. The second session repeats the stories of the first.
    """

    name = "meg_masc"
    title = "MEG-MASC"
    url = "https://osf.io/ag3kj"
    license = "CC0"
    citation = (
        "L. Gwilliams, G. Flick, A. Marantz, L. Pylkkänen, D. Poeppel, J.-R. King, Introducing MEG-MASC: a "
        "high-quality magneto-encephalography dataset for evaluating natural speech processing, Sci. Data 10, 862, 2023"
    )

    sessions: list[str | int] | None = None

    def sources(self) -> list[Source]:
        """One recording per participant, session and story."""
        root = expanded(self.root)
        tables = {
            file: match.groups()
            for file in sorted(root.glob("sub-*/ses-*/meg/sub-*_events.tsv"))
            if (match := NAME.fullmatch(file.name))
        }
        if not tables:
            raise DataError(f"{root}: holds no sub-01/ses-0/meg/..._events.tsv; give the folder of MEG-MASC")
        subjects = select(dict.fromkeys(subject for subject, _, _ in tables.values()), self.subjects, root)
        sessions = select(sorted({session for _, session, _ in tables.values()}), self.sessions, root)
        sounds = sorted((root / "stimuli" / "audio").glob("*.wav"))
        sources = []
        for events, (subject, session, task) in tables.items():
            if subject not in subjects or session not in sessions:
                continue
            stem = events.name.removesuffix("_events.tsv")
            signal = next((f for s in SUFFIXES if is_listed(f := events.with_name(f"{stem}_meg{s}"))), None)
            if signal is None:
                message = f"{events}: no {stem}_meg.con beside it; download it"
                sources.append(missing_source(stem, subject, session, task, message))
                continue
            load = partial(read_meg_masc, root, signal, events, stem)
            sources.append(Source(stem, subject, session, task, (*signal_files(signal), events, *sounds), load))
        if not any(source.inputs for source in sources):
            raise DataError(f"{root}: none of the recordings asked for has a .con file; download them")
        return sources


def read_meg_masc(root: Path, signal: Path, events: Path, recording: str) -> RawRecording:
    """Read one story: a segment per sound file, with its words as text.

    The tables are read as the authors' code and public loaders describe them. The reader was tested on FIF files with
    tables written in that layout; no KIT file has been read, which is left to mne. Sensor positions are those in the
    machine, equal for all participants, not relative to the head.

    Args:
        root: Folder that the paths of sounds are relative to.
        signal: KIT or FIF file.
        events: Table of sounds, words and phonemes.
        recording: Id of the recording.

    Raises:
        DataError: A file is damaged, or a sound is missing.
    """
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
    with wrap_read_errors(file), file.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, delimiter="\t")
        missing = [name for name in ("onset", "trial_type") if name not in (table.fieldnames or ())]
        if missing:
            raise DataError(f"{file}: no column {missing[0]}; download it again")
        events = []
        for line, row in enumerate(table, start=2):
            text = row["trial_type"] or ""
            if re.search(r"""['"]kind['"]\s*:\s*['"]phoneme['"]""", text):
                continue  # nine of ten rows
            where = f"{file}: line {line}"
            events.append(StoryEvent(_number(row["onset"], where), line, _description(text, where)))
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
