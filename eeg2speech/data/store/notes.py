"""What several processes note about recordings while a store is prepared, until its tables are written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eeg2speech.core.files import printable, write_json
from eeg2speech.data.store.disk import disk_of
from eeg2speech.data.store.inputs import UNKNOWN, Input

Note = Mapping[str, Any]
"""A finished recording: ``recording``, ``channels``, ``segments``, ``inputs``, ``dropped``, ``sounds``, ``pieces``."""


class StoreNotes:
    """A file for each recording that is finished, that failed, or whose files were found to be the same.

    Args:
        root: The store.
    """

    def __init__(self, root: Path) -> None:
        self._finished, self._unchanged, self._failed = (root / name for name in (".finished", ".unchanged", ".failed"))

    @property
    def finished(self) -> list[Note]:
        """Recordings that are finished, by id."""
        return [_read(file) for file in sorted(self._finished.glob("*.json"))]

    @property
    def failed(self) -> dict[str, str]:
        """Why recordings cannot be prepared, by id."""
        notes = [(file, _read(file)) for file in sorted(self._failed.glob("*.json"))]
        return {note.get("recording", file.stem): note["reason"] for file, note in notes}

    @property
    def unchanged(self) -> dict[str, list[Input]]:
        """Files, with their new times, of recordings whose files were found to be the same."""
        files = sorted(self._unchanged.glob("*.json"))
        return {file.stem: [Input(**row) for row in _read(file)["inputs"]] for file in files}

    def finish(self, recording: str, note: Note) -> None:
        """Note that a recording is finished."""
        _write(self._finished / f"{recording}.json", note)
        self._failure(recording).unlink(missing_ok=True)

    def keep(self, recording: str, inputs: Sequence[Input]) -> None:
        """Note that a recording's files are the same, so that what the store holds of it is right."""
        _write(self._unchanged / f"{recording}.json", {"inputs": [asdict(row) for row in inputs]})
        self._failure(recording).unlink(missing_ok=True)

    def fail(self, recording: str, reason: str) -> None:
        """Note why a recording cannot be prepared."""
        _write(self._failure(recording), {"recording": printable(recording), "reason": printable(reason)})

    def forget(self, recording: str) -> None:
        """Take back that a recording is finished."""
        (self._finished / f"{recording}.json").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all notes, as they are in the tables now."""
        for folder in (self._finished, self._unchanged, self._failed):
            shutil.rmtree(folder, ignore_errors=True)

    def _failure(self, recording: str) -> Path:
        """A name that every disk takes: the recording's own may be what is wrong with it."""
        return self._failed / f"{hashlib.sha256(printable(recording).encode()).hexdigest()[:32]}.json"


def inputs_in(note: Note) -> list[Input]:
    """Files that a note names."""
    if isinstance(note["inputs"], dict):  # by an earlier version
        name = note["recording"]["recording"]
        return [Input(name, file, UNKNOWN, UNKNOWN, sha256) for file, sha256 in note["inputs"].items()]
    return [Input(**row) for row in note["inputs"]]


def _write(file: Path, content: Note) -> None:
    with disk_of(file):
        file.parent.mkdir(exist_ok=True)
        write_json(file, content)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
