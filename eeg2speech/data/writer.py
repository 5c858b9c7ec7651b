"""Writing a prepared store so that neither a kill nor a full disk leaves half of one."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform, write_audio
from eeg2speech.data.store import (
    Description,
    StoredChannel,
    check_id,
    read_description,
    write_description,
)
from eeg2speech.data.tables import read_table, write_table
from eeg2speech.errors import ConfigError, DataError, DiskError
from eeg2speech.files import write_json, written_beside
from eeg2speech.types import Channel, Recording, Segment


class StoreWriter:
    """Fills a store recording by recording; what is finished stays finished.

    A new store grows in ``OUT.partial`` and is renamed when it is complete. One that exists is added to:
    signals first, tables last, so that a reader never sees a recording that is not all there.

    Args:
        out: The store's folder.
        description: What goes into ``dataset.json``.

    Raises:
        ConfigError: ``out`` was prepared with other settings, or is not a store.
    """

    def __init__(self, out: Path, description: Description) -> None:
        out = Path(os.path.abspath(out.expanduser()))  # noqa: PTH100  (resolve() would follow a link at OUT)
        self.out, self.description = out, description
        self._sounds: dict[bytes, str] | None = None
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            self._check_same(out)
            self.root = out
        else:
            self.root = out.with_name(out.name + ".partial")
            if (self.root / "dataset.json").is_file():
                self._check_same(self.root)
        self._finished = self.root / ".finished"
        with _disk(self.root):
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

    def has_audio(self, stimulus: str) -> bool:
        """Whether a stimulus is already in the store."""
        return (self.root / "audio" / f"{check_id(stimulus, 'stimulus')}.flac").is_file()

    def add_audio(self, stimulus: str, wave: Waveform) -> str:
        """Add a stimulus, unless the same sound is there under another name.

        Args:
            stimulus: Its id.
            wave: Waveform at 16 kHz in [-1, 1], (samples,).

        Returns:
            The id under which the sound is kept: that of the first stimulus with the same 16-bit samples.
        """
        if self._sounds is None:
            files = sorted((self.root / "audio").glob("*.flac"))
            self._sounds = {audio_hash(file): file.stem for file in files}
        file = self.root / "audio" / f"{check_id(stimulus, 'stimulus')}.flac"
        with _disk(file):
            with written_beside(file) as partial:
                write_audio(partial, wave)
                kept = self._sounds.setdefault(audio_hash(partial), stimulus)
            if kept != stimulus:
                file.unlink()
        return kept

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
        file = self.write_signal(recording, eeg)
        self.add_row(
            Recording(recording, subject, session, run, eeg.shape[0], eeg.shape[1], file),
            channels,
            segments,
            inputs,
        )

    def write_signal(self, recording: str, eeg: NDArray[np.float32]) -> str:
        """Write a recording's signal in microvolts, (channels, samples), from any process.

        Returns:
            Its path inside the store. The recording is finished once ``add_row`` has been called.
        """
        file = f"eeg/{check_id(recording, 'recording')}.npy"
        with _disk(self.root / file), written_beside(self.root / file) as partial, partial.open("wb") as stream:
            np.save(stream, np.ascontiguousarray(eeg, np.float32), allow_pickle=False)
        return file

    def add_row(self, row: Recording, channels: list[Channel], segments: list[Segment], inputs: dict[str, str]) -> None:
        """Note that a recording is finished: its signal and its stimuli are in the store."""
        with _disk(self.root / row.file):
            self._finished.mkdir(exist_ok=True)
            content = {
                "recording": asdict(row),
                "channels": [asdict(channel) for channel in channels],
                "segments": [asdict(segment) for segment in segments],
                "inputs": inputs,
            }
            write_json(self._finished / f"{row.recording}.json", content)

    def finish(self) -> Path:
        """Write the tables and put the store in its place.

        Raises:
            DataError: No recording was finished.
        """
        recordings: dict[str, Recording] = {}
        channels: list[StoredChannel] = []
        segments: list[Segment] = []
        inputs: dict[str, str] = {}
        if (self.root / "recordings.tsv").is_file():
            recordings = {row.recording: row for row in read_table(self.root / "recordings.tsv", Recording)}
            channels = read_table(self.root / "channels.tsv", StoredChannel)
            segments = read_table(self.root / "segments.tsv", Segment)
            inputs = dict(self.description.inputs)
        for file in sorted(self._finished.glob("*.json")):
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            row = Recording(**content["recording"])
            recordings[row.recording] = row
            channels = [c for c in channels if c.recording != row.recording]
            channels += [StoredChannel(**c, recording=row.recording) for c in content["channels"]]
            segments = [s for s in segments if s.recording != row.recording]
            segments += [Segment(**s) for s in content["segments"]]
            inputs |= content["inputs"]
        if not recordings:
            raise DataError(f"{self.out}: no recording could be prepared; see the lines above")
        self.description.inputs = dict(sorted(inputs.items()))
        with _disk(self.root):
            if self._finished.is_dir():  # else nothing was added
                write_table(self.root / "channels.tsv", StoredChannel, channels)
                write_table(self.root / "segments.tsv", Segment, segments)
                write_description(self.root, self.description)
                write_table(self.root / "recordings.tsv", Recording, (recordings[k] for k in sorted(recordings)))
            self._sweep({row.file for row in recordings.values()})
            if self.root != self.out:
                if self.out.is_dir():
                    self.out.rmdir()  # empty: checked when the writer was made
                self.root.replace(self.out)
        return self.out

    def _sweep(self, signals: set[str]) -> None:
        """Remove what a killed or failed run has left, and the notes that are in the tables now."""
        for file in self.root.rglob("*.partial"):
            file.unlink()
        for file in (self.root / "eeg").glob("*.npy"):
            if f"eeg/{file.name}" not in signals:
                file.unlink()
        if self._finished.is_dir():
            for file in self._finished.glob("*.json"):
                file.unlink()
            self._finished.rmdir()

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


class _disk:  # noqa: N801
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
