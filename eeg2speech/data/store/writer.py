"""Writer of a prepared store: neither a killed process nor a full disk leaves it incomplete."""

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
from eeg2speech.core.files import disk_errors
from eeg2speech.core.paths import expanded
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Channel, Recording, Segment
from eeg2speech.data.store.content import Content, StoreNotes, inputs_in, read_inputs, sound_key
from eeg2speech.data.store.inputs import Input
from eeg2speech.data.store.sounds import Arrangement, StoreSounds, audio_hash
from eeg2speech.data.store.store import (
    REPLACING,
    Description,
    Dropped,
    check_id,
    read_description,
    save_array,
    write_description,
)
from eeg2speech.data.timing import Stretch

logger = logging.getLogger(__name__)
__all__ = ["StoreWriter", "audio_hash", "check_settings"]


class StoreWriter:
    """Adds recordings to a store, each of which is kept once it is finished.

    A new store grows in ``OUT.partial`` and is renamed when it is complete. In an existing store, new signals and
    sounds wait in a subfolder, so that a reader never sees half of a recording. Several processes, also on several
    machines, may add recordings at once; only one of them may call ``finish``.

    Attributes:
        root: Where the store grows.
        raw: Raw folder that it was prepared from before.

    Args:
        out: The store's folder.
        description: Content of ``dataset.json``.

    Raises:
        ConfigError: ``out`` was prepared with other settings, or is not a store.
    """

    def __init__(self, out: Path, description: Description) -> None:
        out = Path(os.path.abspath(expanded(out)))  # noqa: PTH100  (resolve() would follow a link at OUT)
        self.out, self.description, self.raw = out, description, description.root
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            self._continue_from(out)
            self.root = out
        else:
            self.root = out.with_name(out.name + ".partial")
            self._resume()
        self._new = self.root / ".new"
        self.notes = StoreNotes(self.root)
        self._sounds = StoreSounds(self.root, self._new, self.description.sounds)
        with disk_errors(self.root):
            for folder in (self.root / "eeg", self.root / "audio"):
                folder.mkdir(parents=True, exist_ok=True)
            if not (self.root / "dataset.json").is_file():
                write_description(self.root, description)

    @property
    def recordings(self) -> set[str]:
        """Ids of finished recordings."""
        return {row.recording for row in self.rows()}

    @property
    def is_new(self) -> bool:
        """Whether the store has not been finished before."""
        return self.root != self.out

    def rows(self) -> list[Recording]:
        """Finished recordings."""
        rows = read_table(self.root / "recordings.tsv", Recording, optional=True)
        rows += [Recording(**note["recording"]) for note in self.notes.finished]
        return list({row.recording: row for row in rows}.values())

    def inputs(self) -> dict[str, list[Input]]:
        """Input files of finished recordings, by recording."""
        known: dict[str, list[Input]] = {row.recording: [] for row in self.rows()}
        for row in read_inputs(self.root):
            known.setdefault(row.recording, []).append(row)
        return known | {note["recording"]["recording"]: inputs_in(note) for note in self.notes.finished}

    def has_sound(self, stimulus: str, source: str = "") -> bool:
        """Whether the store has a sound; see ``StoreSounds.has``."""
        return self._sounds.has(stimulus, source)

    def add_audio(self, stimulus: str, wave: Waveform, source: str = "", comment: str = "") -> None:
        """Add a sound; see ``StoreSounds.add_audio``."""
        self._sounds.add_audio(stimulus, wave, source, comment)

    def add_envelope(self, stimulus: str, envelope: NDArray[np.float32], source: str = "") -> None:
        """Add an envelope; see ``StoreSounds.add_envelope``."""
        self._sounds.add_envelope(stimulus, envelope, source)

    def scratch(self, recording: str) -> Path:
        """File for a long recording's signal while it is prepared."""
        file = self._new / "eeg" / f"{check_id(recording, 'recording')}.scratch.partial"
        with disk_errors(file):
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
        """Add a recording with its signal.

        Args:
            recording: Its id.
            subject: Subject label.
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
        # size and time are unknown, so the hash alone decides whether a file has changed
        self.add_row(row, channels, segments, [Input(recording, file, -1, -1, sha) for file, sha in inputs.items()])

    def write_signal(self, row: Recording, eeg: NDArray[np.float32]) -> None:
        """Write a recording's signal in microvolts, (channels, samples); ``add_row`` must follow."""
        save_array(self._new / row.file, eeg)

    def add_row(
        self,
        row: Recording,
        channels: list[Channel],
        segments: list[Segment],
        inputs: Sequence[Input],
        dropped: Iterable[Dropped] = (),
        sounds: dict[str, str] | None = None,
        blocks: Sequence[Stretch] = (),
    ) -> None:
        """Note that a recording is finished: its signal and its stimuli were added.

        Args:
            row: The recording.
            channels: One per row of its signal.
            segments: In seconds of the recording.
            inputs: Files it was read from, its own first.
            dropped: Parts of the raw recording that are not in the store.
            sounds: Hash of each sound's source, by stimulus.
            blocks: Contiguous blocks in samples; may be empty if there is only one.
        """
        note = {
            "recording": asdict(row),
            "channels": [asdict(channel) for channel in channels],
            "segments": [asdict(segment) for segment in segments],
            "inputs": [asdict(file) for file in inputs],
            "dropped": [asdict(part) for part in dropped],
            "sounds": sounds or {},
            "pieces": [] if list(blocks) == [(0, row.samples)] else [list(block) for block in blocks],
        }
        self.notes.finish(row.recording, note)

    def finish(self) -> Path:
        """Write the tables and move the store to its final folder.

        Raises:
            DataError: No recording was finished.
        """
        content, notes, failed = Content.read(self.root), self.notes.finished, self.notes.failed
        content.remove({note["recording"]["recording"] for note in notes} | failed.keys())
        keys = [sound_key(note, row["stimulus"]) for note in notes for row in note["segments"] if row["stimulus"]]
        arranged = self._sounds.arrange(content.stimuli, keys)
        for note in notes:
            content.add(note, arranged.names)
        if notes:  # else the rows keep their order, which splits depend on
            content.sort()
        unchanged = {name: rows for name, rows in self.notes.unchanged.items() if name in content.recordings}
        for rows in unchanged.values():
            content.set_inputs(rows)
        if not content.recordings:
            old = "" if self.is_new else " and the recordings in it are out of date"
            raise DataError(f"{self.out}: no recording could be prepared{old}; see the lines above")
        content.dropped += [Dropped(name, "recording", reason=reason) for name, reason in failed.items()]
        self.description.inputs = dict(sorted((row.file, row.sha256) for row in content.inputs))
        self.description.sounds = dict(sorted(arranged.made_from.items()))
        with disk_errors(self.root):
            if notes or failed or unchanged or _as_json(self.description) != _as_json(read_description(self.root)):
                self._replace(content, arranged, [note["recording"]["file"] for note in notes])
            self._clean_up({row.file for row in content.recordings.values()})
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
        """Replace files and tables; meanwhile, readers refuse the store."""
        (self.root / REPLACING).touch()
        write_description(self.root, self.description)  # first, as it holds the sources of the sounds
        for file in signals:
            if (self._new / file).is_file():
                (self._new / file).replace(self.root / file)
        self._sounds.place(arranged)
        content.write(self.root)

    def _clean_up(self, signals: set[str]) -> None:
        """Remove files of killed or failed runs, and the notes, whose content is in the tables."""
        for file in self.root.rglob("*.partial"):
            file.unlink()
        for file in (self.root / "eeg").glob("*.npy"):
            if f"eeg/{file.name}" not in signals:
                file.unlink()
        self.notes.clear()
        shutil.rmtree(self._new, ignore_errors=True)
        (self.root / REPLACING).unlink(missing_ok=True)

    def _resume(self) -> None:
        """Continue a killed or failed run; a run of other settings is removed if it has finished no recording."""
        if not (self.root / "dataset.json").is_file():
            return
        try:
            self._continue_from(self.root)
        except ConfigError:
            if StoreNotes(self.root).finished:
                raise
            shutil.rmtree(self.root)

    def _continue_from(self, root: Path) -> None:
        before = check_settings(root, self.description)
        self.description.inputs, self.description.sounds = dict(before.inputs), dict(before.sounds)
        self.raw = before.root


def check_settings(root: Path, description: Description) -> Description:
    """Refuse to add to a store of another dataset or with other settings.

    Args:
        root: The store.
        description: Dataset and settings of the recordings to add.

    Returns:
        The store's own description.

    Raises:
        ConfigError: The folder is not a store, holds another dataset, has no table of inputs, or differs in a setting.
    """
    try:
        before = read_description(root)
    except DataError as error:
        raise ConfigError(f"{root}: exists and is not a prepared store; choose another OUT") from error
    if before.name != description.name:
        raise ConfigError(f"{root}: holds {before.name}; choose another OUT for {description.name}")
    if (root / "recordings.tsv").is_file() and not (root / "inputs.tsv").is_file():
        raise ConfigError(f"{root}: has no inputs.tsv, so changes of its files cannot be found; choose another OUT")
    new, old = json.loads(json.dumps(description.settings)), before.settings
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if changed:
        key = changed[0]
        raise ConfigError(
            f"{root}: was prepared with {key}={old.get(key)!r}, but this command sets {new.get(key)!r}; "
            "choose another OUT or remove that folder"
        )
    return before


def _as_json(description: Description) -> Any:
    return json.loads(json.dumps(asdict(description)))
