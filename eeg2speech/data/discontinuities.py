"""Where a recording of mne was interrupted, as its annotations or its file say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mne import read_annotations
from mne.io import BaseRaw

from eeg2speech.data.edf_records import interruptions_of
from eeg2speech.data.reading import reading
from eeg2speech.data.stretches import merged

SKIP = re.compile(r"(Comment/)?BAD_(ACQ_SKIP|disconnection)", re.IGNORECASE)
"""Annotations of samples that were never recorded: mne (FIF, EGI, Neuralynx, MEF) and ANT."""
EDGE = re.compile(r"(Comment/)?(EDGE|BAD) boundary|New Segment/|Amplifier (dis|re)connected", re.IGNORECASE)
"""Annotations of places where something is missing: mne (concatenated recordings), BrainVision, ANT."""
CUT = {"RawEEGLAB": r"boundary|-99(\.0*)?", "RawGDF": r"32766", "": r"(Comment/)?boundary"}
"""The same in EEGLAB, which says how much was cut out, and in GDF, by mne's class of recording; else by ``""``."""


@dataclass
class Discontinuities:
    """Interruptions of a recording; see ``types.RawRecording``.

    Attributes:
        breaks: First sample of each later contiguous piece.
        unrecorded: Seconds that passed at a break without a sample, by its sample, where that is known.
        gaps: Stretches of samples without a signal: the first, and the one after the last.
        clocked: Times of events are those of a clock that went on meanwhile.
    """

    breaks: list[int] = field(default_factory=list)
    unrecorded: dict[int, float] = field(default_factory=dict)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    clocked: bool = False


def is_interruption(text: str) -> bool:
    """Whether an annotation of mne or of a manufacturer says that the recording was interrupted there."""
    return bool(SKIP.match(text) or EDGE.match(text))


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
    for note in raw.annotations:
        text, onset, seconds = str(note["description"]), float(note["onset"] - raw.first_time), float(note["duration"])
        if SKIP.match(text) and round(seconds * rate) > 0:
            gaps.append((max(round(onset * rate), 0), min(round((onset + seconds) * rate), samples)))
        elif SKIP.match(text) or EDGE.match(text):
            marks.setdefault(round(onset * rate), math.nan)
        elif cut.fullmatch(text):  # EEGLAB puts it half a sample before what follows
            at = math.ceil(onset * rate - 0.01)
            marks[at] = seconds if seconds > 0 else math.nan
            limited += [at] * ((onset + seconds) * rate > samples - 1.5)
    if limited:  # mne lets no annotation go on behind the end of the data, but this one says what lies outside of them
        whole = _cuts_of_file(raw, cut)
        marks |= {at: whole.get(at, math.nan) for at in limited}
    for at, seconds, found.clocked in _of_files(raw, rate):
        marks[at] = seconds
    found.gaps = merged([gap for gap in gaps if gap[0] < gap[1]])
    edges = {edge for gap in found.gaps for edge in gap}
    found.breaks = sorted(at for at in edges | marks.keys() if 0 < at < samples)
    found.unrecorded = {at: marks[at] for at in found.breaks if at in marks and math.isfinite(marks[at])}
    return found


def _cuts_of_file(raw: BaseRaw, cut: re.Pattern[str]) -> dict[int, float]:
    """Seconds that were cut out by sample, as an EEGLAB file has them; nothing for other recordings."""
    file = raw.filenames[0]
    if type(raw).__name__ != "RawEEGLAB" or len(raw.filenames) > 1 or file is None or not Path(file).is_file():
        return {}
    rate = float(raw.info["sfreq"])
    with reading(Path(file)):
        notes = read_annotations(file)
    return {
        math.ceil((float(note["onset"]) - raw.first_time) * rate - 0.01): float(note["duration"])
        for note in notes
        if cut.fullmatch(str(note["description"])) and note["duration"] > 0
    }


def _of_files(raw: BaseRaw, rate: float) -> Iterator[tuple[int, float, bool]]:
    """Sample, seconds unrecorded and whether there is a clock, for each interruption that an EDF or BDF file says."""
    if type(raw).__name__ not in ("RawEDF", "RawBDF"):
        return
    before = 0
    for name, first, last in zip(raw.filenames, raw._first_samps, raw._last_samps, strict=True):
        file = None if name is None else Path(name)
        if file is not None and file.is_file():
            with reading(file):
                found = interruptions_of(file)
            for seconds, unrecorded in found.pauses.items():
                at = round(seconds * rate) - int(first)
                if 0 < at <= last - first:
                    yield before + at, unrecorded, found.clocked
        before += int(last - first) + 1
