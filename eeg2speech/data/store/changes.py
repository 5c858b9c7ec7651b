"""Which recordings have to be prepared: new ones, and those whose sources have changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.files import printable
from eeg2speech.core.paths import expanded
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Recording, Segment, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.store.inputs import UNKNOWN, Difference, Input, compare, is_sound, named, settle, stamp, stamped
from eeg2speech.data.store.shards import WHOLE, Shard
from eeg2speech.data.store.sounds import FOLDERS
from eeg2speech.data.store.writer import StoreWriter

SHOWN = 3
"""Recordings, and files of each, that a line names."""


@dataclass
class Plan:
    """What a run of ``prepare`` has to do.

    Attributes:
        todo: Recordings to prepare.
        again: Those of them that are in the store, and what has changed.
        lines: What is to be said of recordings that are in the store.
    """

    todo: list[Source]
    again: dict[str, list[str]]
    lines: list[str]


def plan(sources: Sequence[Source], shard: Shard, writer: StoreWriter, root: Path | None, jobs: int) -> Plan:
    """Compare the recordings of a dataset with those of a store.

    Size and time of every file are looked at; only files of another size or time are read.

    Args:
        sources: Recordings of the dataset that were asked for.
        shard: Which of them this run does.
        writer: Of the store.
        root: Raw folder.
        jobs: Files read at once.

    Raises:
        ConfigError: The store was prepared from another folder with other content, or holds recordings that have
            changed but were not asked for.
    """
    held = {row.recording: row for row in writer.rows()}
    mine = {source.recording: source for source in shard.of(sources) if source.recording in held}
    others = sorted(held.keys() - {source.recording for source in sources})
    known = writer.inputs()
    listed = known.keys() >= held.keys()
    earlier = [name for name in mine if any(row.size == UNKNOWN for row in known.get(name, [])) or name not in known]
    known |= {name: _hashes_only(source, writer, root) for name, source in mine.items() if name not in known}
    differences = {name: _difference(source, held[name], known[name], root) for name, source in mine.items()}
    differences |= {name: _difference_of_other(known.get(name, []), root) for name in others}
    settle(differences, known, jobs)

    again = {name: differences[name].changed for name in mine if differences[name].changed}
    gone = {name: differences[name].absent for name in others if differences[name].absent}
    _refuse_another_dataset(writer, root, again, bool(held) and held.keys() == gone.keys())
    _refuse_others(writer, {name: differences[name].changed for name in others}, again if not listed else {})
    failed = writer.notes.failed
    for name in mine:
        if name in again:
            writer.notes.forget(name)
        elif differences[name].suspects or not listed or name in failed:
            writer.notes.keep(name, stamped(known[name], differences[name].suspects))
    absent = {name: differences[name].absent for name in mine if name not in again and differences[name].absent}
    lines = [
        _line("prepared again, as what they were read from has changed", again),
        _line("no longer in the raw folder; the store keeps what was prepared of them", gone),
        _line("kept as they were prepared, as what they were read from is not there now", absent),
        _names(
            "kept as an earlier version has prepared them, which may have read them otherwise than this one; prepare "
            "them into a new OUT to have what this one makes of them",
            [name for name in earlier if name not in again],
        ),
        _names(
            "changes of the files of their sounds are not seen, as an earlier version has not written down which they "
            "are; if any has changed, prepare into a new OUT",
            [name for name in _unfollowed(writer, known) if name in mine and name not in again],
        ),
    ]
    todo = [source for source in shard.of(sources) if source.recording not in held or source.recording in again]
    return Plan(todo, again, [line for line in lines if line])


def waiting(sources: Sequence[Source], writer: StoreWriter, shard: Shard, root: Path | None) -> int:
    """How many recordings other shards have still to do."""
    if shard == WHOLE or not writer.root.is_dir():  # another shard has finished the store
        return 0
    noted = {note["recording"]["recording"] for note in writer.notes.finished}
    noted |= writer.notes.failed.keys() | writer.notes.unchanged.keys()
    held, known = {row.recording: row for row in writer.rows()}, writer.inputs()
    count = 0
    for source in sources:
        name = source.recording
        if printable(name) not in noted:
            is_same = name in held and name in known and not _difference(source, held[name], known[name], root)
            count += not is_same
    return count


def _unfollowed(writer: StoreWriter, known: Mapping[str, Sequence[Input]]) -> list[str]:
    """Recordings with sounds of the user's rules of which nothing says what they were read from."""
    files = [file for folder in FOLDERS for file in (writer.root / folder).glob("*.*")]
    unknown = {file.stem for file in files} - writer.description.sounds.keys()
    table = writer.root / "segments.tsv"
    if not unknown or "reader.sounds" not in writer.description.settings or not table.is_file():
        return []
    heard = {segment.recording for segment in read_table(table, Segment) if segment.stimulus in unknown}
    return sorted(name for name in heard if not any(is_sound(row.file) for row in known.get(name, [])))


def _hashes_only(source: Source, writer: StoreWriter, root: Path | None) -> list[Input]:
    """Files of a recording in a store of an earlier version, which holds their hashes only."""
    hashes = writer.description.inputs
    names = named(source.inputs, root)
    return [Input(source.recording, name, UNKNOWN, UNKNOWN, hashes[name]) for name in names if name in hashes]


def _difference(source: Source, row: Recording, known: Sequence[Input], root: Path | None) -> Difference:
    found = compare(named(source.inputs, root), known, root)
    for what in ("subject", "session", "run"):
        old, new = (" ".join(getattr(about, what).split()) for about in (row, source))
        if old != (new if new != "n/a" else ""):
            found.changed.append(f"its {what} is {printable(new)}, was {old}")
    return found


def _difference_of_other(known: Sequence[Input], root: Path | None) -> Difference:
    """What of a recording that was not asked for is no longer there, or of another size or time."""
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


def _refuse_another_dataset(
    writer: StoreWriter, root: Path | None, again: Mapping[str, Sequence[str]], nothing_shared: bool
) -> None:
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


def _refuse_others(
    writer: StoreWriter, others: Mapping[str, Sequence[str]], unlisted: Mapping[str, Sequence[str]]
) -> None:
    """Refuse to leave recordings in the store that are, or may be, out of date and were not asked for."""
    for name, changed in others.items():
        if changed or unlisted:
            why = changed[0] if changed else f"{next(iter(unlisted.values()))[0]}, and it may have been read from that"
            raise ConfigError(
                f"{writer.out}: holds {name}, which was not asked for but is out of date ({why}); prepare all of its "
                "recordings at once, or choose another OUT"
            )


def _line(what: str, about: Mapping[str, Sequence[str]]) -> str:
    """One line on several recordings, empty if there are none."""
    parts = [f"{name} ({_first(files)})" for name, files in about.items()]
    return f"{what}: {_first(parts)}" if parts else ""


def _names(what: str, names: Sequence[str]) -> str:
    """One line on several recordings of which the same is to be said, empty if there are none."""
    return f"{what}: {_first(names)}" if names else ""


def _first(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return ", ".join(parts[:SHOWN]) + more
