"""The tables of a store as one value: read, changed recording by recording, and written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from eeg2speech.core.tables import read_table, write_table
from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.store.inputs import Input
from eeg2speech.data.store.notes import Note, inputs_in
from eeg2speech.data.store.store import Dropped, Piece, StoredChannel

AudioGallery = tuple[str, str]
"""A stimulus as its reader names it, and the hash of what its sound was read from."""


@dataclass
class Content:
    """What the tables of a store say.

    Attributes:
        recordings: By id.
        channels: Of all recordings.
        segments: Of all recordings.
        dropped: What of the raw data is not in the store.
        inputs: Files that the recordings were read from.
        pieces: Of recordings that were interrupted.
    """

    recordings: dict[str, Recording] = field(default_factory=dict)
    channels: list[StoredChannel] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path) -> Content:
        """Read the tables of a store; empty where it has none yet."""
        if not (root / "recordings.tsv").is_file():
            return cls()
        recordings = {row.recording: row for row in read_table(root / "recordings.tsv", Recording)}
        dropped = read_table(root / "dropped.tsv", Dropped) if (root / "dropped.tsv").is_file() else []
        return cls(
            recordings,
            read_table(root / "channels.tsv", StoredChannel),
            read_table(root / "segments.tsv", Segment),
            # what is said of a recording that failed holds until it is in the store
            [row for row in dropped if (row.what == "recording") != (row.recording in recordings)],
            read_inputs(root),
            read_table(root / "pieces.tsv", Piece) if (root / "pieces.tsv").is_file() else [],
        )

    @property
    def stimuli(self) -> set[str]:
        """Names of the sounds that segments belong to."""
        return {segment.stimulus for segment in self.segments if segment.stimulus}

    def remove(self, names: Collection[str]) -> None:
        """Take recordings out, and what is said of them."""
        names = set(names)
        self.recordings = {name: row for name, row in self.recordings.items() if name not in names}
        self.channels = [row for row in self.channels if row.recording not in names]
        self.segments = [row for row in self.segments if row.recording not in names]
        self.dropped = [row for row in self.dropped if row.recording not in names]
        self.inputs = [row for row in self.inputs if row.recording not in names]
        self.pieces = [row for row in self.pieces if row.recording not in names]

    def add(self, note: Note, names: Mapping[AudioGallery, str]) -> None:
        """Add a recording.

        Args:
            note: What was noted when it was finished.
            names: Under which name the store holds each sound.
        """
        row = Recording(**note["recording"])
        self.recordings[row.recording] = row
        self.channels += [StoredChannel(**channel, recording=row.recording) for channel in note["channels"]]
        for segment in (Segment(**segment) for segment in note["segments"]):
            heard = heard_in(note, segment.stimulus)
            self.segments.append(replace(segment, stimulus=names.get(heard, segment.stimulus)))
        self.dropped += [Dropped(**part) for part in note["dropped"]]
        self.inputs += inputs_in(note)
        self.pieces += [Piece(row.recording, *piece) for piece in note.get("pieces", [])]

    def set_inputs(self, rows: Collection[Input]) -> None:
        """Replace what is recorded about the files of a recording."""
        names = {row.recording for row in rows}
        self.inputs = [row for row in self.inputs if row.recording not in names] + list(rows)

    def sort(self) -> None:
        """Order rows by recording, as if all had been prepared at once."""
        self.channels.sort(key=_position)
        self.segments.sort(key=_position)
        self.pieces.sort(key=_position)

    def write(self, root: Path) -> None:
        """Write the tables, that of the recordings last."""
        self.inputs.sort(key=_position)  # stable: a recording's own file stays its first
        self.dropped.sort(key=lambda row: (row.what == "recording", _position(row)))
        write_table(root / "channels.tsv", StoredChannel, self.channels)
        write_table(root / "segments.tsv", Segment, self.segments)
        write_table(root / "dropped.tsv", Dropped, self.dropped)
        write_table(root / "inputs.tsv", Input, self.inputs)
        if self.pieces:
            write_table(root / "pieces.tsv", Piece, self.pieces)
        else:
            (root / "pieces.tsv").unlink(missing_ok=True)
        write_table(root / "recordings.tsv", Recording, (self.recordings[name] for name in sorted(self.recordings)))


def _position(row: StoredChannel | Segment | Dropped | Input | Piece) -> str:
    return f"{row.recording}.json"  # the order of the notes


def read_inputs(root: Path) -> list[Input]:
    """Read ``inputs.tsv``; empty where an earlier version has prepared the store."""
    return read_table(root / "inputs.tsv", Input) if (root / "inputs.tsv").is_file() else []


def heard_in(note: Note, stimulus: str) -> AudioGallery:
    """A stimulus of a note, and what its sound was read from."""
    return stimulus, note.get("sounds", {}).get(stimulus, "")
