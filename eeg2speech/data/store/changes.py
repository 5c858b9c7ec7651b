"""Which recordings have to be prepared: new ones, and those whose input files have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.files import printable
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Recording, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.store.inputs import Difference, Input, compare, named, settle, stamp, stamped
from eeg2speech.data.store.shards import WHOLE, Shard
from eeg2speech.data.store.writer import StoreWriter

SHOWN = 3
"""Largest number of recordings, and of files of each, that a line names."""


@dataclass
class Plan:
    """What a run of ``prepare`` has to do.

    Attributes:
        todo: Recordings to prepare.
        again: Those of them that are in the store, and what has changed.
        lines: Remarks on recordings that are in the store.
    """

    todo: list[Source]
    again: dict[str, list[str]]
    lines: list[str]


def plan(sources: Sequence[Source], shard: Shard, writer: StoreWriter, root: Path | None, jobs: int) -> Plan:
    """Compare the recordings of a dataset with those of a store.

    Only files of another size or time are read.

    Args:
        sources: Requested recordings of the dataset.
        shard: Part of them that this run prepares.
        writer: Writer of the store.
        root: Raw folder.
        jobs: Files read at once.

    Raises:
        ConfigError: The store was prepared from another folder with other content, or holds recordings that have
            changed but were not requested.
    """
    held, known = {row.recording: row for row in writer.rows()}, writer.inputs()
    mine = {source.recording: source for source in shard.of(sources) if source.recording in held}
    others = sorted(held.keys() - {source.recording for source in sources})
    differences = {name: _difference(source, held[name], known[name], root) for name, source in mine.items()}
    differences |= {name: _difference_of_other(known[name], root) for name in others}
    settle(differences, known, jobs)

    again = {name: differences[name].changed for name in mine if differences[name].changed}
    gone = {name: differences[name].absent for name in others if differences[name].absent}
    _refuse_another_dataset(writer, again, bool(held) and held.keys() == gone.keys())
    for name in others:
        if changed := differences[name].changed:
            raise ConfigError(
                f"{writer.out}: holds {name}, which was not selected but is out of date ({changed[0]}); prepare all "
                "of its recordings at once, or choose another OUT"
            )
    failed = writer.notes.failed
    for name in mine:
        if name in again:
            writer.notes.forget(name)
        elif differences[name].suspects or name in failed:
            writer.notes.keep(name, stamped(known[name], differences[name].suspects))
    absent = {name: differences[name].absent for name in mine if name not in again and differences[name].absent}
    lines = [
        _line("prepared again, as their input files have changed", again),
        _line("no longer in the raw folder, but kept in the store", gone),
        _line("kept as they are, although input files are missing now", absent),
    ]
    todo = [source for source in shard.of(sources) if source.recording not in held or source.recording in again]
    return Plan(todo, again, [line for line in lines if line])


def waiting(sources: Sequence[Source], writer: StoreWriter, shard: Shard, root: Path | None) -> int:
    """How many recordings other shards have not prepared yet."""
    if shard == WHOLE or not writer.root.is_dir():  # another shard has finished the store
        return 0
    noted = {note["recording"]["recording"] for note in writer.notes.finished}
    noted |= writer.notes.failed.keys() | writer.notes.unchanged.keys()
    held, known = {row.recording: row for row in writer.rows()}, writer.inputs()
    count = 0
    for source in sources:
        name = source.recording
        if printable(name) not in noted:
            is_same = name in held and not _difference(source, held[name], known[name], root)
            count += not is_same
    return count


def _difference(source: Source, row: Recording, known: Sequence[Input], root: Path | None) -> Difference:
    found = compare(named(source.inputs, root), known, root)
    for what in ("subject", "session", "run"):
        old, new = (" ".join(getattr(about, what).split()) for about in (row, source))
        if old != (new if new != "n/a" else ""):
            found.changed.append(f"its {what} is {printable(new)}, was {old}")
    return found


def _difference_of_other(known: Sequence[Input], root: Path | None) -> Difference:
    """Files of a recording that was not requested, and that are missing or have another size or time."""
    found = Difference()
    if root is None or not known:
        return found
    if not is_listed(expanded(root) / known[0].file):  # its own file is the first
        found.absent.append(known[0].file)
    for row in known:
        file = expanded(root) / row.file
        if file.is_file() and stamp(file) != (row.size, row.modified):
            found.suspects[row.file] = file
    return found


def _refuse_another_dataset(writer: StoreWriter, again: Mapping[str, Sequence[str]], nothing_shared: bool) -> None:
    before, now = writer.raw, writer.description.root
    if not before or before == now or not (again or nothing_shared):
        return
    why = "holds none of its recordings"
    if again:
        name, changed = next(iter(again.items()))
        why = f"differs from it ({name}: {changed[0]})"
    raise ConfigError(
        f"{writer.out}: was prepared from {before}, and {now} {why}; choose another OUT for another dataset, or remove "
        "that store if the dataset was moved and corrected"
    )


def _line(what: str, files: Mapping[str, Sequence[str]]) -> str:
    """One line on several recordings and their files, empty if there are none."""
    parts = [f"{name} ({_first(names)})" for name, names in files.items()]
    return f"{what}: {_first(parts)}" if parts else ""


def _first(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return ", ".join(parts[:SHOWN]) + more
