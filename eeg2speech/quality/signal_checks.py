"""Signals of a store against each other: the same EEG twice, channels in another order, units that cannot be."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Recording
from eeg2speech.data.preparation.amplitude import unlikely_amplitude
from eeg2speech.data.store.store import Dropped, Store

_SAMPLE = 1 << 16  # bytes that tell nearly all recordings apart


def check_duplicates(store: Store) -> list[str]:
    """Recordings that hold the same EEG, one line for each group."""
    groups: dict[tuple[int, int], list[Recording]] = defaultdict(list)
    for recording in store.recordings:
        groups[recording.channels, recording.samples].append(recording)
    same: dict[bytes, list[str]] = defaultdict(list)
    for group in groups.values():
        alike: dict[bytes, list[Recording]] = defaultdict(list)
        for recording in group:
            file = store.root / recording.file
            if len(group) > 1 and file.is_file():
                alike[_start(file)].append(recording)
        for few in alike.values():
            for recording in few if len(few) > 1 else []:
                with (store.root / recording.file).open("rb") as stream:
                    same[hashlib.file_digest(stream, "blake2b").digest()].append(recording.recording)
    return [
        f"{', '.join(names)} hold the same EEG: a recording was copied; remove one of its inputs and prepare again"
        for names in same.values()
        if len(names) > 1
    ]


def check_dropped(store: Store) -> list[str]:
    """Time that is not in the store as it was measured, one line for each reason."""
    file = store.root / "dropped.tsv"
    lost: dict[tuple[str, str], list[Dropped]] = defaultdict(list)
    for part in read_table(file, Dropped) if file.is_file() else []:
        if part.what in ("time", "filled"):
            lost[part.what, part.reason].append(part)
    return [
        f"{sum(part.seconds for part in parts):.3g} s of {len({part.recording for part in parts})} recordings are "
        f"{'cut out of segments' if what == 'time' else 'filled in'} ({reason}); see dropped.tsv"
        for (what, reason), parts in sorted(lost.items())
    ]


def check_order(store: Store) -> list[str]:
    """A line where recordings have the same channels in different orders."""
    first: dict[frozenset[str], tuple[str, list[str]]] = {}
    other: dict[str, list[str]] = defaultdict(list)
    for recording in store.recordings:
        names = [channel.name for channel in store.channels(recording.recording)]
        known, order = first.setdefault(frozenset(names), (recording.recording, names))
        if order != names:
            other[known].append(recording.recording)
    return [
        f"{len(names)} recordings have the channels of {known} in another order, first {names[0]}; code that goes by "
        "row numbers instead of channels.tsv would mix them up"
        for known, names in other.items()
    ]


def check_units(amplitude: Mapping[tuple[str, str], float], low_edge: float | None) -> list[str]:
    """Subjects whose amplitude no brain has, one line each.

    Args:
        amplitude: Median absolute amplitude by subject and type of channel, in microvolts (femtoteslas, femtoteslas per
            centimetre).
        low_edge: Lower edge of the band that was kept in hertz, None for none.
    """
    faults = {(who, kind): unlikely_amplitude(level, kind, low_edge) for (who, kind), level in amplitude.items()}
    return [f"subject {who}: median amplitude of {fault}" for (who, _), fault in faults.items() if fault]


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_SAMPLE)
