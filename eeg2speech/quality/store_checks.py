"""Checks of a store's tables, signals and files: segments, channels, units, copies, and files without an owner."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Condition, Recording, Segment
from eeg2speech.data.electrodes.montage import fault_of_positions, places_of
from eeg2speech.data.files.notices import kind_of
from eeg2speech.data.preparation.amplitude import unlikely_amplitude
from eeg2speech.data.store.store import Dropped, Store, StoredChannel

TOLERANCE = 0.02
"""Seconds by which the end of a segment may differ from that of its recording or sound: two samples of 10 ms."""
TABLES = (
    "dataset.json", "recordings.tsv", "segments.tsv", "channels.tsv", "dropped.tsv", "inputs.tsv", "pieces.tsv",
)  # fmt: skip
_START = 1 << 16  # first bytes of a signal, which differ between nearly all recordings


class Problem(NamedTuple):
    """A problem of a store, in one line.

    Attributes:
        severity: ``error`` where training would fail or use wrong data, else ``warning``.
        text: Place and problem.
    """

    severity: Literal["error", "warning"]
    text: str


def one_problem_per_kind(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each kind, with the number of others of that kind."""
    kinds: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.severity, kind_of(problem.text)].append(problem)
    return [
        first._replace(text=f"{first.text} (and {len(more)} more of this kind)") if more else first
        for first, *more in kinds.values()
    ]


def check_segments(recording: Recording, segments: Iterable[Segment], rate: float) -> list[Problem]:
    """Segments of a recording that lie outside of it, overlap, or have an unknown condition."""
    problems = []
    seconds = recording.samples / rate
    previous: Segment | None = None
    for segment in sorted(segments, key=lambda s: s.onset):
        where = f"{recording.recording}: segment at {segment.onset:g} s"
        end = segment.onset + segment.duration
        if segment.onset < 0 or segment.duration <= 0 or end > seconds + TOLERANCE:
            text = f"{where} of {segment.duration:g} s lies outside the recording of {seconds:g} s"
            problems.append(Problem("error", text))
        if segment.condition not in get_args(Condition):
            known = ", ".join(get_args(Condition))
            problems.append(Problem("error", f"{where}: condition {segment.condition!r} is none of {known}"))
        if previous is not None and segment.onset < previous.onset + previous.duration - TOLERANCE:
            problems.append(Problem("warning", f"{where} overlaps the one at {previous.onset:g} s"))
        previous = segment
    return problems


def check_channels(recording: Recording, channels: Sequence[StoredChannel]) -> list[Problem]:
    """A wrong number of channels in channels.tsv, and unknown or implausible positions."""
    name, problems = recording.recording, []
    if len(channels) != recording.channels:
        text = f"{name}: channels.tsv names {len(channels)} channels, recordings.tsv {recording.channels}"
        problems.append(Problem("error", text))
    unknown = [c.name for c in channels if not np.isfinite([c.x, c.y, c.z]).all()]
    if unknown:
        problems.append(Problem("warning", f"{name}: no position of {', '.join(unknown)}"))
    scalp = [channel for channel in channels if channel.type == "eeg"]
    fault = fault_of_positions([channel.name for channel in scalp], places_of(scalp))
    if fault:
        problems.append(Problem("warning", f"{name}: positions of its electrodes {fault}; prepare it again in metres"))
    return problems


def check_duplicates(store: Store) -> list[str]:
    """Recordings with identical EEG, one line for each group."""
    groups: dict[tuple[int, int, bytes], list[Recording]] = defaultdict(list)
    for recording in store.recordings:
        file = store.root / recording.file
        if file.is_file():
            with file.open("rb") as stream:
                groups[recording.channels, recording.samples, stream.read(_START)].append(recording)
    same: dict[bytes, list[str]] = defaultdict(list)
    for group in groups.values():
        for recording in group if len(group) > 1 else []:
            with (store.root / recording.file).open("rb") as stream:
                same[hashlib.file_digest(stream, "blake2b").digest()].append(recording.recording)
    return [
        f"{', '.join(names)} hold the same EEG: a recording was copied; remove one of its inputs and prepare again"
        for names in same.values()
        if len(names) > 1
    ]


def check_dropped(store: Store) -> list[str]:
    """Time that was cut out or filled in during preparation, one line for each reason."""
    file = store.root / "dropped.tsv"
    lost: dict[tuple[str, str], list[Dropped]] = defaultdict(list)
    for row in read_table(file, Dropped) if file.is_file() else []:
        if row.what in ("time", "filled"):
            lost[row.what, row.reason].append(row)
    return [
        f"{sum(row.seconds for row in rows):.3g} s of {len({row.recording for row in rows})} recordings are "
        f"{'cut out of segments' if what == 'time' else 'filled in'} ({reason}); see dropped.tsv"
        for (what, reason), rows in sorted(lost.items())
    ]


def check_order(store: Store) -> list[str]:
    """Recordings with the same channels in different orders, one line for each set of channels."""
    first: dict[frozenset[str], tuple[str, list[str]]] = {}
    other: dict[str, list[str]] = defaultdict(list)
    for recording in store.recordings:
        names = [channel.name for channel in store.channels(recording.recording)]
        known, order = first.setdefault(frozenset(names), (recording.recording, names))
        if order != names:
            other[known].append(recording.recording)
    return [
        f"{len(names)} recordings have the channels of {known} in another order, first {names[0]}; code that uses "
        "row numbers instead of channels.tsv would mix them up"
        for known, names in other.items()
    ]


def check_units(amplitude: Mapping[tuple[str, str], float], low_edge: float | None) -> list[str]:
    """Subjects with an implausible amplitude, one line each.

    Args:
        amplitude: Median absolute amplitude by subject and type of channel, in microvolts (femtoteslas, femtoteslas per
            centimetre).
        low_edge: Lower edge of the band that was kept, in hertz; None for no edge.
    """
    faults = {(who, kind): unlikely_amplitude(level, kind, low_edge) for (who, kind), level in amplitude.items()}
    return [f"subject {who}: median amplitude of {fault}" for (who, _), fault in faults.items() if fault]


def stray_files(store: Store) -> list[str]:
    """Files that belong to no table, recording or stimulus, one line each."""
    known = {*TABLES, *(r.file for r in store.recordings), *(f"audio/{s}.flac" for s in store.stimuli)}
    known |= {f"envelopes/{stimulus}.npy" for stimulus in store.stimuli}
    found = (file.relative_to(store.root).as_posix() for file in sorted(store.root.rglob("*")) if file.is_file())
    return [
        f"{file}: belongs to no recording or stimulus; remove it"
        for file in found
        if file not in known and not file.startswith(".")  # unfinished files of `prepare`
    ]
