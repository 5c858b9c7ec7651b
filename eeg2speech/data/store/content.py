"""The tables of a store, and the notes from which ``finish`` writes them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eeg2speech.core.files import disk_errors, printable, write_json
from eeg2speech.core.tables import read_table, write_table
from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.store.inputs import Input
from eeg2speech.data.store.store import Dropped, StoredBlock, StoredChannel

Note = Mapping[str, Any]
"""A finished recording: ``recording``, ``channels``, ``segments``, ``inputs``, ``dropped``, ``sounds``, ``pieces``."""
SoundKey = tuple[str, str]
"""Stimulus id given by the reader, and the hash of the sound's source."""
TABLES = ("channels", "segments", "dropped", "inputs", "blocks")
"""Lists of ``Content`` whose rows belong to a recording."""


class StoreNotes:
    """Files that say which recordings are finished, have failed, or have unchanged inputs.

    Several processes write them while a store is prepared; they are removed once its tables are written.

    Args:
        root: The store.
    """

    def __init__(self, root: Path) -> None:
        self._finished, self._unchanged, self._failed = (root / name for name in (".finished", ".unchanged", ".failed"))

    @property
    def finished(self) -> list[Note]:
        """Finished recordings, sorted by id."""
        return [_read(file) for file in sorted(self._finished.glob("*.json"))]

    @property
    def failed(self) -> dict[str, str]:
        """Why recordings failed, by id."""
        notes = [_read(file) for file in sorted(self._failed.glob("*.json"))]
        return {note["recording"]: note["reason"] for note in notes}

    @property
    def unchanged(self) -> dict[str, list[Input]]:
        """Inputs, with their new times, of recordings whose files have the same content as before."""
        files = sorted(self._unchanged.glob("*.json"))
        return {file.stem: [Input(**row) for row in _read(file)["inputs"]] for file in files}

    def finish(self, recording: str, note: Note) -> None:
        """Note that a recording is finished."""
        _write(self._finished / f"{recording}.json", note)
        self._failure(recording).unlink(missing_ok=True)

    def keep(self, recording: str, inputs: Sequence[Input]) -> None:
        """Note that a recording of the store is up to date."""
        _write(self._unchanged / f"{recording}.json", {"inputs": [asdict(row) for row in inputs]})
        self._failure(recording).unlink(missing_ok=True)

    def fail(self, recording: str, reason: str) -> None:
        """Note why a recording failed."""
        _write(self._failure(recording), {"recording": printable(recording), "reason": printable(reason)})

    def forget(self, recording: str) -> None:
        """Remove the note that a recording is finished."""
        (self._finished / f"{recording}.json").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all notes."""
        for folder in (self._finished, self._unchanged, self._failed):
            shutil.rmtree(folder, ignore_errors=True)

    def _failure(self, recording: str) -> Path:
        """File named by a hash, because the id itself may be an invalid file name."""
        return self._failed / f"{hashlib.sha256(printable(recording).encode()).hexdigest()[:32]}.json"


@dataclass
class Content:
    """The tables of a store as one value, which is read, changed recording by recording, and written.

    Attributes:
        recordings: Recordings by id.
        channels: Channels of all recordings.
        segments: Segments of all recordings.
        dropped: Parts of the raw data that are not in the store.
        inputs: Files that the recordings were read from.
        blocks: Contiguous blocks of the recordings that were interrupted.
    """

    recordings: dict[str, Recording] = field(default_factory=dict)
    channels: list[StoredChannel] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    blocks: list[StoredBlock] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path) -> Content:
        """Read the tables of a store; empty if it has none yet."""
        if not (root / "recordings.tsv").is_file():
            return cls()
        recordings = {row.recording: row for row in read_table(root / "recordings.tsv", Recording)}
        return cls(
            recordings,
            read_table(root / "channels.tsv", StoredChannel),
            read_table(root / "segments.tsv", Segment),
            # the failure of a recording is reported until the recording is in the store
            [
                row
                for row in read_table(root / "dropped.tsv", Dropped, optional=True)
                if (row.what == "recording") != (row.recording in recordings)
            ],
            read_inputs(root),
            read_table(root / "pieces.tsv", StoredBlock, optional=True),
        )

    @property
    def stimuli(self) -> set[str]:
        """Stimulus ids of all segments."""
        return {segment.stimulus for segment in self.segments if segment.stimulus}

    def remove(self, names: Collection[str]) -> None:
        """Remove recordings and their rows from all tables."""
        names = set(names)
        self.recordings = {name: row for name, row in self.recordings.items() if name not in names}
        for table in TABLES:
            setattr(self, table, [row for row in getattr(self, table) if row.recording not in names])

    def add(self, note: Note, names: Mapping[SoundKey, str]) -> None:
        """Add a finished recording.

        Args:
            note: Note of the recording.
            names: Name of each sound in the store.
        """
        row = Recording(**note["recording"])
        self.recordings[row.recording] = row
        self.channels += [StoredChannel(**channel, recording=row.recording) for channel in note["channels"]]
        for segment in (Segment(**segment) for segment in note["segments"]):
            name = names.get(sound_key(note, segment.stimulus), segment.stimulus)
            self.segments.append(replace(segment, stimulus=name))
        self.dropped += [Dropped(**part) for part in note["dropped"]]
        self.inputs += inputs_in(note)
        self.blocks += [StoredBlock(row.recording, *block) for block in note["pieces"]]

    def set_inputs(self, rows: Collection[Input]) -> None:
        """Replace the inputs of a recording."""
        names = {row.recording for row in rows}
        self.inputs = [row for row in self.inputs if row.recording not in names] + list(rows)

    def sort(self) -> None:
        """Order rows by recording, as if all recordings had been prepared at once."""
        for rows in (self.channels, self.segments, self.blocks):
            rows.sort(key=_position)

    def write(self, root: Path) -> None:
        """Write the tables, ``recordings.tsv`` last."""
        self.inputs.sort(key=_position)  # stable: a recording's own file stays its first
        self.dropped.sort(key=lambda row: (row.what == "recording", _position(row)))
        write_table(root / "channels.tsv", StoredChannel, self.channels)
        write_table(root / "segments.tsv", Segment, self.segments)
        write_table(root / "dropped.tsv", Dropped, self.dropped)
        write_table(root / "inputs.tsv", Input, self.inputs)
        if self.blocks:
            write_table(root / "pieces.tsv", StoredBlock, self.blocks)
        else:
            (root / "pieces.tsv").unlink(missing_ok=True)
        write_table(root / "recordings.tsv", Recording, (self.recordings[name] for name in sorted(self.recordings)))


def read_inputs(root: Path) -> list[Input]:
    """Read ``inputs.tsv``; empty if the store has no such table."""
    return read_table(root / "inputs.tsv", Input, optional=True)


def inputs_in(note: Note) -> list[Input]:
    """Input files of a note."""
    return [Input(**row) for row in note["inputs"]]


def sound_key(note: Note, stimulus: str) -> SoundKey:
    """A stimulus of a note, and the hash of its source."""
    return stimulus, note["sounds"].get(stimulus, "")


def _position(row: StoredChannel | Segment | Dropped | Input | StoredBlock) -> str:
    return f"{row.recording}.json"  # the order of the notes


def _write(file: Path, content: Note) -> None:
    with disk_errors(file):
        file.parent.mkdir(exist_ok=True)
        write_json(file, content)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
