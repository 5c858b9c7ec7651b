"""Interruptions of a recording of mne, by its annotations or its file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mne import read_annotations
from mne.io import BaseRaw

from eeg2speech.data.files.edf_records import Interruptions, annotations_of, interruptions_of
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.timing.stretches import merged

SKIP = re.compile(r"(Comment/)?BAD_(ACQ_SKIP|disconnection)", re.IGNORECASE)
"""Annotations of samples that were not recorded: mne (FIF, EGI, Neuralynx, MEF) and ANT."""
EDGE = re.compile(r"(Comment/)?(EDGE|BAD) boundary|New Segment/|Amplifier (dis|re)connected", re.IGNORECASE)
"""Annotations of times where samples are missing: mne (concatenated recordings), BrainVision, ANT."""
CUT = {"RawEEGLAB": r"boundary|-99(\.0*)?", "RawGDF": r"32766", "": r"(Comment/)?boundary"}
"""The same by mne's class of recording: EEGLAB, which has the length of the cut, GDF, and ``""`` for all others."""


@dataclass
class Discontinuities:
    """Interruptions of a recording; see ``types.RawRecording``.

    Attributes:
        breaks: First sample of each later contiguous piece.
        unrecorded: Seconds without samples at a break, by its sample, where the length is known.
        gaps: First sample, and the sample after the last one, of stretches without a signal.
        clocked: Times of events are those of a clock that runs on during interruptions.
    """

    breaks: list[int] = field(default_factory=list)
    unrecorded: dict[int, float] = field(default_factory=dict)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    clocked: bool = False


def is_interruption(text: str) -> bool:
    """Whether an annotation of mne or of a manufacturer marks an interruption of the recording."""
    return bool(SKIP.match(text) or EDGE.match(text))


def is_boundary(text: str) -> bool:
    """Whether an event may be an interruption: EEGLAB uses the name boundary, but so do linguists for words."""
    return bool(re.fullmatch(CUT[""], text, re.IGNORECASE))


def discontinuities(raw: BaseRaw) -> Discontinuities:
    """Find the interruptions of a recording.

    Raises:
        DataError: The times of the records of its file contradict each other.
    """
    found = Discontinuities()
    samples, rate = int(raw.n_times), float(raw.info["sfreq"])
    cut = re.compile(CUT.get(type(raw).__name__, CUT[""]), re.IGNORECASE)
    marks: dict[int, float] = {}
    gaps: list[tuple[int, int]] = []
    limited: list[int] = []
    files = list(_of_files(raw))
    pauses = files[0][1].pauses if len(raw.filenames) == len(files) == 1 and files[0][1].clocked else {}
    for text, onset, end, seconds in _notes(raw, pauses):
        if SKIP.match(text) and round(seconds * rate) > 0:
            gaps.append((max(round(onset * rate), 0), min(round(end * rate), samples)))
        elif SKIP.match(text) or EDGE.match(text):
            marks.setdefault(round(onset * rate), math.nan)
        elif cut.fullmatch(text):  # EEGLAB puts it half a sample before what follows
            at = math.ceil(onset * rate - 0.01)
            # a file that pauses has its own clock, and a mark of one sample (BrainVision) has no length
            known = not pauses and seconds * rate > (0.0 if type(raw).__name__ == "RawEEGLAB" else 1.01)
            marks[at] = seconds if known else math.nan
            limited += [at] * ((onset + seconds) * rate > samples - 1.5)
    if limited:  # mne cuts annotations off at the end of the data, but these describe time outside the data
        whole = _cuts_of_file(raw, cut)
        marks |= {at: whole.get(at, math.nan) for at in limited}
    for before, interruptions, first, last in files:
        for start, seconds in interruptions.pauses.items():
            at = round(start * rate) - first
            if 0 < at <= last - first:
                marks[before + at], found.clocked = seconds, interruptions.clocked
    found.gaps = merged([gap for gap in gaps if gap[0] < gap[1]])
    edges = {edge for gap in found.gaps for edge in gap}
    found.breaks = sorted(at for at in edges | marks.keys() if 0 < at < samples)
    found.unrecorded = {at: marks[at] for at in found.breaks if at in marks and math.isfinite(marks[at])}
    return found


def _cuts_of_file(raw: BaseRaw, cut: re.Pattern[str]) -> dict[int, float]:
    """Seconds that were cut out of an EEGLAB file, by sample; empty for other recordings."""
    file = raw.filenames[0]
    if type(raw).__name__ != "RawEEGLAB" or len(raw.filenames) > 1 or file is None or not Path(file).is_file():
        return {}
    rate = float(raw.info["sfreq"])
    with wrap_read_errors(Path(file)):
        notes = read_annotations(file)
    return {
        math.ceil((float(note["onset"]) - raw.first_time) * rate - 0.01): float(note["duration"])
        for note in notes
        if cut.fullmatch(str(note["description"])) and note["duration"] > 0
    }


def _notes(raw: BaseRaw, pauses: Mapping[float, float]) -> Iterator[tuple[str, float, float, float]]:
    """Text of each annotation, its onset and end in seconds of samples, and its duration.

    Where a file pauses, its annotations are on a clock, and mne drops those after the length of the samples.
    """
    notes = [(float(note["onset"]), float(note["duration"]), str(note["description"])) for note in raw.annotations]
    for onset, seconds, text in notes + (annotations_of(Path(str(raw.filenames[0]))) if pauses else []):
        start, end = (_signal_time(at, pauses) - float(raw.first_time) for at in (onset, onset + seconds))
        yield text, start, end, seconds


def _signal_time(clock: float, pauses: Mapping[float, float]) -> float:
    """Seconds of signal before a time of a file's clock, which runs on in pauses."""
    lost = 0.0
    for before, seconds in sorted(pauses.items()):
        if clock <= before + lost:
            break
        lost += min(seconds, clock - before - lost)
    return clock - lost


def _of_files(raw: BaseRaw) -> Iterator[tuple[int, Interruptions, int, int]]:
    """For each EDF or BDF file: samples before it, its interruptions, and the first and last sample that is used."""
    if type(raw).__name__ not in ("RawEDF", "RawBDF"):
        return
    before = 0
    for name, first, last in zip(raw.filenames, raw._first_samps, raw._last_samps, strict=True):
        file = None if name is None else Path(name)
        if file is not None and file.is_file():
            with wrap_read_errors(file):
                yield before, interruptions_of(file), int(first), int(last)
        before += int(last - first) + 1
