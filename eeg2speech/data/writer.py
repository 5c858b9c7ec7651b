"""Writing a prepared store so that neither a kill nor a full disk leaves half of one."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform, write_audio
from eeg2speech.data.store import (
    Description,
    Dropped,
    Piece,
    StoredChannel,
    check_id,
    read_description,
    write_description,
)
from eeg2speech.data.stretches import Stretch
from eeg2speech.data.tables import read_table, write_table
from eeg2speech.errors import ConfigError, DataError, DiskError
from eeg2speech.files import write_json, written_beside
from eeg2speech.types import Channel, Recording, Segment


class StoreWriter:
    """Fills a store recording by recording; what is finished stays finished.

    A new store grows in ``OUT.partial`` and is renamed when it is complete. One that exists is added to:
    signals first, tables last, so that a reader never sees a recording that is not all there. Several processes, also
    on several machines, may write recordings at once; only one of them may call ``finish``.

    Args:
        out: The store's folder.
        description: What goes into ``dataset.json``.

    Raises:
        ConfigError: ``out`` was prepared with other settings, or is not a store.
    """

    def __init__(self, out: Path, description: Description) -> None:
        out = Path(os.path.abspath(out.expanduser()))  # noqa: PTH100  (resolve() would follow a link at OUT)
        self.out, self.description = out, description
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            self._check_same(out)
            self.root = out
        else:
            self.root = out.with_name(out.name + ".partial")
            self._take_up()
        self._finished = self.root / ".finished"
        self._failed = self.root / ".failed"
        with disk_of(self.root):
            for folder in (self.root / "eeg", self.root / "audio"):
                folder.mkdir(parents=True, exist_ok=True)
            if not (self.root / "dataset.json").is_file():
                write_description(self.root, description)

    @property
    def recordings(self) -> set[str]:
        """Ids that are finished."""
        known = {file.stem for file in self._finished.glob("*.json")}
        if (self.root / "recordings.tsv").is_file():
            known |= {row.recording for row in read_table(self.root / "recordings.tsv", Recording)}
        return known

    @property
    def failed(self) -> dict[str, str]:
        """Why, by id, of recordings that could not be prepared since the store was last finished."""
        return {file.stem: _read(file)["reason"] for file in sorted(self._failed.glob("*.json"))}

    def has_sound(self, stimulus: str) -> bool:
        """Whether a stimulus's sound, or the envelope that stands in for it, is already in the store."""
        return self._audio(stimulus).is_file() or self._envelope(stimulus).is_file()

    def add_audio(self, stimulus: str, wave: Waveform) -> None:
        """Add a stimulus; ``finish`` leaves one name of those that have the same 16-bit samples.

        Args:
            stimulus: Its id.
            wave: Waveform at 16 kHz in [-1, 1], (samples,).
        """
        file = self._audio(stimulus)
        with disk_of(file), written_beside(file) as partial:
            write_audio(partial, wave)

    def add_envelope(self, stimulus: str, envelope: NDArray[np.float32]) -> None:
        """Add the envelope of a stimulus whose sound cannot be had, at the store's rate, (samples,)."""
        self._save(self._envelope(stimulus), envelope)

    def scratch(self, recording: str) -> Path:
        """A file that a long recording may be held in while it is prepared."""
        return self.root / "eeg" / f"{check_id(recording, 'recording')}.scratch.partial"

    def _audio(self, stimulus: str) -> Path:
        return self.root / "audio" / f"{check_id(stimulus, 'stimulus')}.flac"

    def _envelope(self, stimulus: str) -> Path:
        return self.root / "envelopes" / f"{check_id(stimulus, 'stimulus')}.npy"

    def add(
        self,
        recording: str,
        subject: str,
        session: str,
        run: str,
        eeg: NDArray[np.float32],
        channels: list[Channel],
        segments: list[Segment],
        inputs: dict[str, str],
    ) -> None:
        """Add a recording.

        Args:
            recording: Its id.
            subject: Who was recorded.
            session: Session label or empty.
            run: Run label or empty.
            eeg: Prepared signal in microvolts, (channels, samples).
            channels: One per row of ``eeg``.
            segments: In seconds of the recording; their stimuli are already in the store.
            inputs: sha256 of the files it was read from.
        """
        C, T = eeg.shape
        row = Recording(recording, subject, session, run, C, T, f"eeg/{check_id(recording, 'recording')}.npy")
        self.write_signal(row, eeg)
        self.add_row(row, channels, segments, inputs)

    def write_signal(self, row: Recording, eeg: NDArray[np.float32]) -> None:
        """Write a recording's signal in microvolts, (channels, samples); it is finished once its row is added, too."""
        self._save(self.root / row.file, eeg)

    def add_row(
        self,
        row: Recording,
        channels: list[Channel],
        segments: list[Segment],
        inputs: dict[str, str],
        dropped: Iterable[Dropped] = (),
        pieces: Iterable[Stretch] = (),
    ) -> None:
        """Note that a recording is finished: its signal and its stimuli are in the store.

        Args:
            row: The recording.
            channels: One per row of its signal.
            segments: In seconds of the recording.
            inputs: sha256 of the files it was read from.
            dropped: What of them is not in the store.
            pieces: Samples that were recorded without an interruption; none if it is a single piece.
        """
        with disk_of(self.root / row.file):
            self._finished.mkdir(exist_ok=True)
            content = {
                "recording": asdict(row),
                "channels": [asdict(channel) for channel in channels],
                "segments": [asdict(segment) for segment in segments],
                "inputs": inputs,
                "dropped": [asdict(part) for part in dropped],
                "pieces": [] if list(pieces) == [(0, row.samples)] else [list(piece) for piece in pieces],
            }
            write_json(self._finished / f"{row.recording}.json", content)
            (self._failed / f"{row.recording}.json").unlink(missing_ok=True)

    def fail(self, recording: str, reason: str) -> None:
        """Note that a recording cannot be prepared, and why."""
        with disk_of(self._failed):
            self._failed.mkdir(exist_ok=True)
            write_json(self._failed / f"{check_id(recording, 'recording')}.json", {"reason": reason})

    def finish(self) -> Path:
        """Write the tables and put the store in its place.

        Raises:
            DataError: No recording was finished.
        """
        recordings: dict[str, Recording] = {}
        channels: list[StoredChannel] = []
        segments: list[Segment] = []
        dropped: list[Dropped] = []
        pieces: list[Piece] = []
        inputs: dict[str, str] = {}
        if (self.root / "recordings.tsv").is_file():
            recordings = {row.recording: row for row in read_table(self.root / "recordings.tsv", Recording)}
            channels = read_table(self.root / "channels.tsv", StoredChannel)
            segments = read_table(self.root / "segments.tsv", Segment)
            inputs = dict(self.description.inputs)
        if (self.root / "dropped.tsv").is_file():
            dropped = [d for d in read_table(self.root / "dropped.tsv", Dropped) if d.recording in recordings]
        if (self.root / "pieces.tsv").is_file():
            pieces = read_table(self.root / "pieces.tsv", Piece)
        old = sorted({segment.stimulus for segment in segments})
        added = [_read(file) for file in sorted(self._finished.glob("*.json"))]
        new = {content["recording"]["recording"] for content in added}
        channels = [c for c in channels if c.recording not in new]
        segments = [s for s in segments if s.recording not in new]
        dropped = [d for d in dropped if d.recording not in new]
        pieces = [p for p in pieces if p.recording not in new]
        for content in added:
            row = Recording(**content["recording"])
            recordings[row.recording] = row
            channels += [StoredChannel(**c, recording=row.recording) for c in content["channels"]]
            segments += [Segment(**s) for s in content["segments"]]
            dropped += [Dropped(**d) for d in content["dropped"]]
            pieces += [Piece(row.recording, *piece) for piece in content["pieces"]]
            inputs |= content["inputs"]
        if not recordings:
            raise DataError(f"{self.out}: no recording could be prepared; see the lines above")
        dropped += [Dropped(name, "recording", reason=reason) for name, reason in self.failed.items()]
        segments = self._one_name_per_sound(segments, old)
        self.description.inputs = dict(sorted(inputs.items()))
        with disk_of(self.root):
            if added or self._failed.is_dir():
                write_table(self.root / "channels.tsv", StoredChannel, channels)
                write_table(self.root / "segments.tsv", Segment, segments)
                write_table(self.root / "dropped.tsv", Dropped, dropped)
                if pieces:
                    write_table(self.root / "pieces.tsv", Piece, pieces)
                write_description(self.root, self.description)
                write_table(self.root / "recordings.tsv", Recording, (recordings[k] for k in sorted(recordings)))
            self._sweep({row.file for row in recordings.values()}, {segment.stimulus for segment in segments})
            if self.root != self.out:
                if self.out.is_dir():
                    self.out.rmdir()  # empty: checked when the writer was made
                self.root.replace(self.out)
        return self.out

    def _one_name_per_sound(self, segments: list[Segment], old: list[str]) -> list[Segment]:
        """The same sound under two names would leak between splits; the older name stays, else the first one."""
        kept: dict[bytes, str] = {}
        names = {}
        for stimulus in dict.fromkeys([*old, *sorted({segment.stimulus for segment in segments})]):
            if stimulus and self._audio(stimulus).is_file():
                names[stimulus] = kept.setdefault(audio_hash(self._audio(stimulus)), stimulus)
        return [replace(segment, stimulus=names.get(segment.stimulus, segment.stimulus)) for segment in segments]

    def _save(self, file: Path, values: NDArray[np.floating]) -> None:
        with disk_of(file):
            file.parent.mkdir(exist_ok=True)
            with written_beside(file) as partial, partial.open("wb") as stream:
                np.save(stream, np.ascontiguousarray(values, np.float32), allow_pickle=False)

    def _sweep(self, signals: set[str], stimuli: set[str]) -> None:
        """Remove what a killed or failed run has left, doubled sounds, and the notes that are in the tables now."""
        for file in self.root.rglob("*.partial"):
            file.unlink()
        for file in (self.root / "eeg").glob("*.npy"):
            if f"eeg/{file.name}" not in signals:
                file.unlink()
        for file in (*(self.root / "audio").glob("*.flac"), *(self.root / "envelopes").glob("*.npy")):
            if file.stem not in stimuli:
                file.unlink()
        for notes in (self._finished, self._failed):
            if notes.is_dir():
                for file in notes.glob("*.json"):
                    file.unlink()
                notes.rmdir()

    def _take_up(self) -> None:
        """Go on with what a killed or failed run has left, or clear it away if nothing in it is finished."""
        if not (self.root / "dataset.json").is_file():
            return
        try:
            self._check_same(self.root)
        except ConfigError:
            if any((self.root / ".finished").glob("*.json")):
                raise
            shutil.rmtree(self.root)

    def _check_same(self, root: Path) -> None:
        try:
            before = read_description(root)
        except DataError as error:
            raise ConfigError(f"{root}: exists and is not a prepared store; choose another OUT") from error
        if before.name != self.description.name:
            raise ConfigError(f"{root}: holds {before.name}; choose another OUT for {self.description.name}")
        old, new = before.settings, json.loads(json.dumps(self.description.settings))
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if changed:
            key = changed[0]
            raise ConfigError(
                f"{root}: was prepared with {key}={old.get(key)!r}, asked for {new.get(key)!r}; "
                "choose another OUT or remove that folder"
            )
        self.description.inputs = before.inputs


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def audio_hash(file: Path) -> bytes:
    """Hash of a FLAC file's samples: the MD5 that its header holds, so that nothing need be decoded.

    Raises:
        DataError: It is no FLAC file.
    """
    with file.open("rb") as stream:
        header = stream.read(42)  # "fLaC", block header (4), STREAMINFO (34) ending in the MD5 (16)
    if len(header) < 42 or header[:4] != b"fLaC":
        raise DataError(f"{file}: no FLAC file; remove it and prepare the store again")
    return header[26:42]


class disk_of:  # noqa: N801
    """Turns a full or read-only disk into one line that says what is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # None: numpy reports a short write without a number
        full = isinstance(error, OSError) and error.errno in (None, errno.ENOSPC, errno.EDQUOT)
        # libsndfile reports a full disk as an error of its own
        if full or type(error).__name__ == "LibsndfileError":
            raise DiskError(
                f"{self.path}: the disk is full ({error}); free some space and run the same command again: "
                "finished recordings are kept"
            ) from error
        if isinstance(error, OSError):
            raise DiskError(f"{self.path}: cannot be written ({error.strerror}); choose another OUT") from error
