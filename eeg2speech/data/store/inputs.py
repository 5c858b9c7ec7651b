"""Which files a recording was read from, and whether they are still what they were."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from eeg2speech.core.errors import DataError
from eeg2speech.core.files import printable
from eeg2speech.core.paths import expanded
from eeg2speech.data.files.downloads import check_downloaded, has_content
from eeg2speech.data.files.sounds import SUFFIXES

UNKNOWN = -1
"""Size and time of an input of which only the hash is known: stores of earlier versions have no more."""


@dataclass(frozen=True)
class Input:
    """One row of ``inputs.tsv``: a file that a recording was read from.

    Attributes:
        recording: Recording that was read from it.
        file: Its path relative to the raw folder, with slashes; its name where it lies elsewhere.
        size: Bytes.
        modified: When it was modified, in nanoseconds since 1970.
        sha256: Hash of its content.
    """

    recording: str
    file: str
    size: int
    modified: int
    sha256: str


@dataclass
class Difference:
    """What is no longer as it was when a recording was prepared.

    Attributes:
        changed: Files with another content, new ones, and tables that are gone; each with what happened to it.
        absent: Signals and sounds that are gone or whose content is no longer there.
        suspects: Files of another size or time, by name; their hash decides.
    """

    changed: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    suspects: dict[str, Path] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.suspects)


def named(files: Iterable[Path], root: Path | None) -> dict[str, Path]:
    """Files by the name that they are recorded under."""
    found: dict[str, Path] = {}
    for file in dict.fromkeys(files):
        name = _name(file, root)
        found[name if found.get(name, file) == file else file.absolute().as_posix()] = file
    return found


def _name(file: Path, root: Path | None) -> str:
    if root is not None:
        # by name before by content: datalad's files are links into .git/annex
        for form in (
            os.path.abspath,
            os.path.realpath,
        ):  # as text: a dataset may list its files a hundred thousand times
            path, folder = form(expanded(file)), form(expanded(root)).rstrip(os.sep) + os.sep
            if path.startswith(folder):
                return path.removeprefix(folder).replace(os.sep, "/")
    return file.name


def is_sound(name: str) -> bool:
    """Whether a file is a sound by its name."""
    return name.lower().endswith(SUFFIXES)


def check_inputs(files: Mapping[str, Path]) -> None:
    """Refuse to read a recording whose files are not all there.

    Sounds are left to the reader, which finds those that the recording needs.

    Raises:
        DataError: A file is missing or was not downloaded, or its name cannot be written down.
    """
    for name, file in files.items():
        if printable(name) != name:
            raise DataError(f"{printable(name)}: its name is no UTF-8; rename it")
        if re.search(r"[\t\r\n]", name):
            raise DataError(f"{name!r}: its name has a line break or a tab in it; rename it")
        if not is_sound(name):
            check_downloaded(file)
            if not file.exists():
                raise DataError(f"{file}: missing; download it again")


def record(recording: str, files: Mapping[str, Path]) -> list[Input]:
    """Note size, time and hash of the files that are there."""
    there = {name: file for name, file in files.items() if has_content(file)}
    return [Input(recording, name, *stamp(file), digest(file)) for name, file in there.items()]


def stamp(file: Path) -> tuple[int, int]:
    """Size of a file in bytes, and when it was modified in nanoseconds since 1970."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def digest(file: Path) -> str:
    """sha256 of a file, computed once while it is unchanged: the same sound belongs to many recordings."""
    return _digest(file, *stamp(file))


@lru_cache(maxsize=4096)
def _digest(file: Path, _size: int, _modified: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def compare(files: Mapping[str, Path], known: Sequence[Input], root: Path | None) -> Difference:
    """Compare a recording's files with those that it was prepared from, without reading any.

    Args:
        files: That the reader lists now, by name.
        known: What was recorded.
        root: Raw folder.
    """
    then = {row.file: row for row in known}
    found = Difference()
    for name, file in files.items():
        if name not in then and has_content(file):
            found.changed.append(f"{name} is new")
        elif name not in then and not is_sound(name):
            found.absent.append(name)
    for name, row in then.items():
        file = files.get(name, expanded(root) / name if root is not None else Path())  # a folder is no file
        if file.is_file() and stamp(file) == (row.size, row.modified):
            continue
        if has_content(file):
            found.suspects[name] = file
        elif name in files or is_sound(name):
            found.absent.append(name)
        else:
            found.changed.append(f"{name} is gone")
    return found


def settle(differences: Mapping[str, Difference], known: Mapping[str, Sequence[Input]], jobs: int) -> None:
    """Hash the suspects of several recordings, each file once, and turn those that differ into changes.

    Args:
        differences: By recording.
        known: What was recorded, by recording.
        jobs: Files hashed at once; -1 for one per core.
    """
    files = sorted({file for difference in differences.values() for file in difference.suspects.values()})
    with ThreadPoolExecutor(os.cpu_count() if jobs == -1 else jobs) as pool:
        hashes = dict(zip(files, pool.map(_digest_or_none, files), strict=True))
    for recording, difference in differences.items():
        then = {row.file: row.sha256 for row in known.get(recording, ())}
        difference.absent += [name for name, file in difference.suspects.items() if hashes[file] is None]
        difference.suspects = {name: file for name, file in difference.suspects.items() if hashes[file] is not None}
        for name, file in difference.suspects.items():
            if hashes[file] != then[name]:
                difference.changed.append(f"{name} has changed")


def stamped(known: Sequence[Input], suspects: Mapping[str, Path]) -> list[Input]:
    """What was recorded of a recording, with size and time of suspects that turned out to be the same."""
    rows = []
    for row in known:
        size, modified = stamp(suspects[row.file]) if row.file in suspects else (row.size, row.modified)
        rows.append(replace(row, size=size, modified=modified))
    return rows


def _digest_or_none(file: Path) -> str | None:
    try:
        return digest(file)
    except OSError:
        return None
