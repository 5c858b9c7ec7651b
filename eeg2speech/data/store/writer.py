"""Writing a prepared store so that neither a kill nor a full disk leaves half of one."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Channel, Recording, Segment
from eeg2speech.data.store.content import Content, heard_in, read_inputs
from eeg2speech.data.store.disk import disk_of, save_array
from eeg2speech.data.store.inputs import UNKNOWN, Input
from eeg2speech.data.store.notes import StoreNotes, inputs_in
from eeg2speech.data.store.settings import check_settings
from eeg2speech.data.store.sounds import Arrangement, StoreSounds, audio_hash
from eeg2speech.data.store.store import (
    REPLACING,
    Description,
    Dropped,
    check_id,
    read_description,
    write_description,
)
from eeg2speech.data.timing.stretches import Stretch

logger = logging.getLogger(__name__)
__all__ = ["StoreWriter", "audio_hash", "disk_of"]


class StoreWriter:
    """Fills a store recording by recording; what is finished stays finished.

    A new store grows in ``OUT.partial`` and is renamed when it is complete. One that exists is added to: new signals
    and sounds wait in a folder of their own, so that a reader never sees a recording that is not all there, nor one
    that is half replaced. Several processes, also on several machines, may write recordings at once; only one of them
    may call ``finish``.

    Attributes:
        root: Where the store grows.
        raw: Folder of the raw data that it was prepared from before.

    Args:
        out: The store's folder.
        description: What goes into ``dataset.json``.

    Raises:
        ConfigError: ``out`` was prepared with other settings, or is not a store.
    """

    def __init__(self, out: Path, description: Description) -> None:
        out = Path(os.path.abspath(expanded(out)))  # noqa: PTH100  (resolve() would follow a link at OUT)
        self.out, self.description, self.raw = out, description, description.root
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            self._check_same(out)
            self.root = out
        else:
            self.root = out.with_name(out.name + ".partial")
            self._take_up()
        self._new = self.root / ".new"
        self.notes = StoreNotes(self.root)
        self._sounds = StoreSounds(self.root, self._new, self.description.sounds)
        with disk_of(self.root):
            for folder in (self.root / "eeg", self.root / "audio"):
                folder.mkdir(parents=True, exist_ok=True)
            if not (self.root / "dataset.json").is_file():
                write_description(self.root, description)

    @property
    def recordings(self) -> set[str]:
        """Ids that are finished."""
        return {row.recording for row in self.rows()}

    @property
    def is_new(self) -> bool:
        """Whether the store has not been finished before."""
        return self.root != self.out

    @property
    def _lists_inputs(self) -> bool:
        return (self.root / "inputs.tsv").is_file()

    def rows(self) -> list[Recording]:
        """Recordings that are finished."""
        table = self.root / "recordings.tsv"
        rows = read_table(table, Recording) if table.is_file() else []
        rows += [Recording(**note["recording"]) for note in self.notes.finished]
        return list({row.recording: row for row in rows}.values())

    def inputs(self) -> dict[str, list[Input]]:
        """Files that recordings were read from; recordings of which an earlier version has noted none are missing."""
        known: dict[str, list[Input]] = {row.recording: [] for row in self.rows() if self._lists_inputs}
        for row in read_inputs(self.root):
            known.setdefault(row.recording, []).append(row)
        return known | {note["recording"]["recording"]: inputs_in(note) for note in self.notes.finished}

    def has_sound(self, stimulus: str, source: str = "") -> bool:
        """Whether a stimulus's sound, or the envelope that stands in for it, is there.

        Args:
            stimulus: Its id.
            source: Hash of what it would be read from.
        """
        return self._sounds.has(stimulus, source)

    def add_audio(self, stimulus: str, wave: Waveform, source: str = "", comment: str = "") -> None:
        """Add a stimulus; ``finish`` leaves one name of those that have the same 16-bit samples.

        Args:
            stimulus: Its id.
            wave: Waveform at 16 kHz in [-1, 1], (samples,).
            source: Hash of what it was read from.
            comment: What is odd about it; ``doctor`` says it.
        """
        self._sounds.add_audio(stimulus, wave, source, comment)

    def add_envelope(self, stimulus: str, envelope: NDArray[np.float32], source: str = "") -> None:
        """Add the envelope of a stimulus whose sound cannot be had, at the store's rate, (samples,)."""
        self._sounds.add_envelope(stimulus, envelope, source)

    def scratch(self, recording: str) -> Path:
        """A file that a long recording may be held in while it is prepared."""
        file = self._new / "eeg" / f"{check_id(recording, 'recording')}.scratch.partial"
        with disk_of(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        return file

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
            segments: In seconds of the recording; their stimuli were added before.
            inputs: sha256 of the files it was read from.
        """
        C, T = eeg.shape
        row = Recording(recording, subject, session, run, C, T, f"eeg/{check_id(recording, 'recording')}.npy")
        self.write_signal(row, eeg)
        files = [Input(recording, file, UNKNOWN, UNKNOWN, sha256) for file, sha256 in inputs.items()]
        self.add_row(row, channels, segments, files)

    def write_signal(self, row: Recording, eeg: NDArray[np.float32]) -> None:
        """Write a recording's signal in microvolts, (channels, samples); it is finished once its row is added, too."""
        save_array(self._new / row.file, eeg)

    def add_row(
        self,
        row: Recording,
        channels: list[Channel],
        segments: list[Segment],
        inputs: Sequence[Input],
        dropped: Iterable[Dropped] = (),
        sounds: dict[str, str] | None = None,
        pieces: Sequence[Stretch] = (),
    ) -> None:
        """Note that a recording is finished: its signal and its stimuli were added.

        Args:
            row: The recording.
            channels: One per row of its signal.
            segments: In seconds of the recording.
            inputs: Files it was read from, its own first.
            dropped: What of it is not in the store.
            sounds: Hash of what each sound was read from, by stimulus.
            pieces: Samples that were recorded without an interruption; none if it is a single piece.
        """
        note = {
            "recording": asdict(row),
            "channels": [asdict(channel) for channel in channels],
            "segments": [asdict(segment) for segment in segments],
            "inputs": [asdict(file) for file in inputs],
            "dropped": [asdict(part) for part in dropped],
            "sounds": sounds or {},
            "pieces": [] if list(pieces) == [(0, row.samples)] else [list(piece) for piece in pieces],
        }
        self.notes.finish(row.recording, note)

    def finish(self) -> Path:
        """Write the tables and put the store in its place.

        Raises:
            DataError: No recording was finished.
        """
        content, notes, failed = Content.read(self.root), self.notes.finished, self.notes.failed
        content.remove({note["recording"]["recording"] for note in notes} | failed.keys())
        heard = [heard_in(note, row["stimulus"]) for note in notes for row in note["segments"] if row["stimulus"]]
        arranged = self._sounds.arrange(content.stimuli, heard)
        for note in notes:
            content.add(note, arranged.names)
        if notes:  # else the order of the rows stays, which splits may hold for
            content.sort()
        unchanged = {name: rows for name, rows in self.notes.unchanged.items() if name in content.recordings}
        for rows in unchanged.values():
            content.set_inputs(rows)
        if not content.recordings:
            old = "" if self.is_new else " and what is there is out of date"
            raise DataError(f"{self.out}: no recording could be prepared{old}; see the lines above")
        content.dropped += [Dropped(name, "recording", reason=reason) for name, reason in failed.items()]
        known = {row.recording for row in content.inputs}
        earlier = {} if self._lists_inputs or known >= content.recordings.keys() else self.description.inputs
        self.description.inputs = dict(sorted((earlier | {row.file: row.sha256 for row in content.inputs}).items()))
        self.description.sounds = dict(sorted(arranged.made_from.items()))
        with disk_of(self.root):
            if notes or failed or unchanged or _as_json(self.description) != _as_json(read_description(self.root)):
                self._replace(content, arranged, [note["recording"]["file"] for note in notes])
            self._sweep({row.file for row in content.recordings.values()})
            if self.is_new:
                if self.out.is_dir():
                    self.out.rmdir()  # empty: checked when the writer was made
                self.root.replace(self.out)
        if arranged.renamed:
            logger.warning(
                "%s: there are different sounds of one name; the later ones are stimuli of their own: %s",
                self.out, ", ".join(arranged.renamed),
            )  # fmt: skip
        return self.out

    def _replace(self, content: Content, arranged: Arrangement, signals: list[str]) -> None:
        """Put new files and tables in the place of old ones, while readers are told that the store is changing."""
        (self.root / REPLACING).touch()
        write_description(self.root, self.description)  # first: it says what the sounds are read from
        for file in signals:
            if (self._new / file).is_file():
                (self._new / file).replace(self.root / file)
        self._sounds.place(arranged)
        content.write(self.root)

    def _sweep(self, signals: set[str]) -> None:
        """Remove what a killed or failed run has left, and the notes that are in the tables now."""
        for file in self.root.rglob("*.partial"):
            file.unlink()
        for file in (self.root / "eeg").glob("*.npy"):
            if f"eeg/{file.name}" not in signals:
                file.unlink()
        self.notes.clear()
        shutil.rmtree(self._new, ignore_errors=True)
        (self.root / REPLACING).unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Go on with what a killed or failed run has left, or clear it away if nothing in it is finished."""
        if not (self.root / "dataset.json").is_file():
            return
        try:
            self._check_same(self.root)
        except ConfigError:
            if StoreNotes(self.root).finished:
                raise
            shutil.rmtree(self.root)

    def _check_same(self, root: Path) -> None:
        before = check_settings(root, self.description)
        self.description.inputs, self.description.sounds = dict(before.inputs), dict(before.sounds)
        self.raw = before.root


def _as_json(description: Description) -> Any:
    return json.loads(json.dumps(asdict(description)))
