"""Input files of a recording, and whether they have changed since it was prepared."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from eeg2speech.core.errors import DataError
from eeg2speech.core.files import printable, sha256_of
from eeg2speech.core.paths import expanded
from eeg2speech.data.files.downloads import check_downloaded, has_content
from eeg2speech.data.files.sounds import SUFFIXES


@dataclass(frozen=True)
class Input:
    """Row of ``inputs.tsv``: a file that a recording was read from.

    Attributes:
        recording: Recording that was read from it.
        file: Path relative to the raw folder, with slashes; the name only if it lies elsewhere.
        size: Bytes.
        modified: Time of the last modification, in nanoseconds since 1970.
        sha256: Hash of the content.
    """

    recording: str
    file: str
    size: int
    modified: int
    sha256: str


@dataclass
class Difference:
    """Differences between a recording's input files and those that it was prepared from.

    Attributes:
        changed: Files with different content, new files and missing tables; each with what happened to it.
        absent: Signals and sounds that are missing or have not been downloaded.
        suspects: Files of another size or time, by name; their hash decides.
    """

    changed: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    suspects: dict[str, Path] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.suspects)


def named(files: Iterable[Path], root: Path | None) -> dict[str, Path]:
    """Files by their name in ``inputs.tsv``."""
    found: dict[str, Path] = {}
    for file in dict.fromkeys(files):
        name = _name(file, root)
        found[name if found.get(name, file) == file else file.absolute().as_posix()] = file
    return found


def _name(file: Path, root: Path | None) -> str:
    # as text, which is faster than `Path` for the hundred thousand files of some datasets; the path itself before its
    # target, as datalad's files are links into .git/annex
    for form in (os.path.abspath, os.path.realpath) if root is not None else ():
        path, folder = form(expanded(file)), form(expanded(root)).rstrip(os.sep) + os.sep  # type: ignore[arg-type]
        if path.startswith(folder):
            return path.removeprefix(folder).replace(os.sep, "/")
    return file.name


def is_sound(name: str) -> bool:
    """Whether a file name is that of a sound."""
    return name.lower().endswith(SUFFIXES)


def check_inputs(files: Mapping[str, Path]) -> None:
    """Refuse to read a recording whose files are incomplete.

    Sounds are checked later, as the reader decides which of them the recording needs.

    Raises:
        DataError: A file is missing or was not downloaded, or its name cannot be stored in a table.
    """
    for name, file in files.items():
        if printable(name) != name:
            raise DataError(f"{printable(name)}: its name is not UTF-8; rename it")
        if re.search(r"[\t\r\n]", name):
            raise DataError(f"{name!r}: its name has a line break or a tab in it; rename it")
        if not is_sound(name):
            check_downloaded(file)
            if not file.exists():
                raise DataError(f"{file}: missing; download it again")


def record(recording: str, files: Mapping[str, Path]) -> list[Input]:
    """Size, time and hash of those files that have content."""
    there = {name: file for name, file in files.items() if has_content(file)}
    return [Input(recording, name, *stamp(file), digest(file)) for name, file in there.items()]


def stamp(file: Path) -> tuple[int, int]:
    """Size of a file in bytes, and the time of its last modification in nanoseconds since 1970."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def digest(file: Path) -> str:
    """sha256 of a file, cached while size and time are the same: a sound belongs to many recordings."""
    return _digest(file, *stamp(file))


@lru_cache(maxsize=4096)
def _digest(file: Path, _size: int, _modified: int) -> str:
    return sha256_of(file)


def compare(files: Mapping[str, Path], known: Sequence[Input], root: Path | None) -> Difference:
    """Compare a recording's files with those that it was prepared from, without reading any.

    Args:
        files: Files that the reader lists now, by name.
        known: Files that the recording was prepared from.
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
        file = files.get(name, expanded(root) / name if root is not None else Path())  # a folder is not a file
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
    """Hash the suspects of several recordings, each file once, and add those that differ to the changes.

    Args:
        differences: Differences by recording.
        known: Files that each recording was prepared from.
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
    """Rows with the current size and time of the suspects, whose content is the same."""
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
