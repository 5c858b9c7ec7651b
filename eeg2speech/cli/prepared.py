"""What `eeg2speech prepare` says at its end: what is in the store, what is not, and why."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from eeg2speech.core.console import table_console
from eeg2speech.core.tables import read_table
from eeg2speech.data.files.notices import Notice, one_line_per_kind
from eeg2speech.data.preparation.prepare import Summary
from eeg2speech.data.store.store import Dropped, Store

SHOWN = 20
"""Lines of a list that are printed before it is cut."""


def print_store(store: Store) -> None:
    """Print what is in a store, and what of the raw data is not."""
    kind = "simulated " if store.description.simulated else ""
    print(
        f"{store.root}: {len(store.recordings)} {kind}recordings of {len(store.subjects)} subjects, "
        f"{_hours(store):.2f} h of EEG, {' or '.join(map(str, _channels(store)))} channels, "
        f"{len(store.segments)} segments, {_with_sound(store)} of them with a sound"
    )
    if dropped := _dropped(store):
        table_console().print(_table(dropped))


def store_in_figures(store: Store | None, out: Path, summary: Summary, count: int) -> dict[str, Any]:
    """The same for a program.

    Args:
        store: None while other shards have not done their part.
        out: Where it is or will be.
        summary: How it went.
        count: Recordings of the dataset.
    """
    found: dict[str, Any] = {
        "store": out, "finished": store is not None, "of": count, "waiting": summary.waiting, "again": summary.again,
        "errors": summary.errors, "incomplete": summary.incomplete,
        "warnings": one_line_per_kind(summary.notices),
    }  # fmt: skip
    if store is not None:
        found |= {
            "simulated": store.description.simulated, "recordings": len(store.recordings),
            "subjects": len(store.subjects), "hours": _hours(store), "channels": _channels(store),
            "segments": len(store.segments), "with_sound": _with_sound(store),
            "dropped": [vars(part) for part in _dropped(store)],
        }  # fmt: skip
    return found


def print_notices(notices: list[Notice]) -> None:
    """Print warnings to standard error, one line for each kind."""
    for line in one_line_per_kind(notices):
        print(line, file=sys.stderr)


def print_errors(summary: Summary, count: int) -> None:
    """Print which recordings failed or lack something, to standard error.

    Args:
        summary: How it went.
        count: Recordings of the dataset.
    """
    for error in summary.errors[:SHOWN]:
        print(f"error: {error}", file=sys.stderr)
    if len(summary.errors) > SHOWN:
        print(f"... {len(summary.errors) - SHOWN} more, see dropped.tsv in the store", file=sys.stderr)
    if summary.incomplete:
        names = ", ".join(summary.incomplete[:3]) + (" and others" if len(summary.incomplete) > 3 else "")
        print(
            f"{len(summary.incomplete)} of {count} recordings lack something whose file is missing ({names}); complete "
            "the dataset and prepare it anew",
            file=sys.stderr,
        )
    if summary.errors:
        print(f"{len(summary.errors)} of {count} recordings failed; the others are in the store", file=sys.stderr)


def _with_sound(store: Store) -> int:
    """Segments whose sound, or its envelope, is in the store."""
    there = {file.stem for folder in ("audio", "envelopes") for file in (store.root / folder).glob("*.*")}
    return sum(segment.stimulus in there for segment in store.segments)


def _hours(store: Store) -> float:
    return sum(recording.samples for recording in store.recordings) / store.rate / 3600


def _channels(store: Store) -> list[int]:
    return sorted({recording.channels for recording in store.recordings})


def _dropped(store: Store) -> list[Dropped]:
    file = store.root / "dropped.tsv"
    return read_table(file, Dropped) if file.is_file() else []


def _table(dropped: list[Dropped]) -> Table:
    """What is not in the store, by reason."""
    groups: dict[tuple[str, str], list[Dropped]] = defaultdict(list)
    for part in dropped:
        groups[part.what, "" if part.what == "recording" else _reason(part)].append(part)
    table = Table("Dropped", "Why", "How much", box=None, padding=(0, 2, 0, 0))
    table.add_column("Where", overflow="fold")
    for (what, reason), parts in sorted(groups.items()):
        where = Counter(part.recording for part in parts)
        if what == "time":
            amount = f"{sum(part.seconds for part in parts) / 60:.1f} min of segments"
        elif what == "filled":
            amount = f"{sum(part.seconds for part in parts):.3g} s"
        elif what in ("channel", "segment"):
            amount = f"{len(parts)} {what}s"
        elif what == "sound":
            stimuli = {part.name for part in parts}
            amount = f"{len(stimuli)} sounds" if any(stimuli) else f"{len(parts)} recordings"
        else:
            amount, reason = f"{len(parts)} recordings", "see the errors below or dropped.tsv"
        names = ", ".join(list(where)[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
        table.add_row(Text(what), Text(reason), amount, Text(f"{len(where)} recordings: {names}"))
    return table


def _reason(part: Dropped) -> str:
    """The reason without its figure, so that like goes with like."""
    return part.reason.partition("% of ")[2] or part.reason
