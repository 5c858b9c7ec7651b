"""The files that a recording is spread over, whether or not their content was downloaded."""

from __future__ import annotations

import re
from pathlib import Path

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.downloads import has_content, is_listed
from eeg2speech.data.files.reading import inside

LONGEST = 2**20
"""Bytes of a text header that are searched for names of files."""


def signal_files(file: Path) -> list[Path]:
    """A recording's file, and those that it needs or that continue it.

    Args:
        file: What is opened; of a split recording the first part.
    """
    if file.is_dir():
        return sorted(path for path in file.rglob("*") if not path.is_dir())
    name = file.name.lower()
    if not has_content(file):
        return [
            file,
            *_of_same_stem(file, {".vhdr": (".eeg", ".vmrk"), ".set": (".fdt",)}.get(file.suffix.lower(), ())),
        ]
    if name.endswith(".vhdr"):
        return [file, *_of_brainvision(file)]
    if name.endswith(".set"):
        return [file, *_of_eeglab(file)]
    if name.endswith(".lay"):
        return [file, *_named_in(file, "File")]
    return [file, *_later_parts(file)] if name.endswith((".fif", ".fif.gz")) else [file]


def _of_same_stem(file: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return [beside for suffix in suffixes if is_listed(beside := file.with_suffix(suffix))]


def _named_in(header: Path, key: str) -> list[Path]:
    """Files that a text header names, in its own folder or below."""
    try:
        with header.open("rb") as stream:
            text = stream.read(LONGEST).decode("utf-8", "surrogateescape")
    except OSError:  # reported when the recording is opened
        return []
    names = re.findall(rf"^[ \t]*{key}[ \t]*=[ \t]*(.+?)[ \t\r]*$", text, re.MULTILINE | re.IGNORECASE)
    files = []
    for name in names[:1]:
        try:
            files.append(inside(header.parent, name.replace("$b", header.stem), header))
        except DataError:  # a path of another computer; reported when the recording is opened
            continue
    return files


def _of_brainvision(header: Path) -> list[Path]:
    markers = [file for file in _named_in(header, "MarkerFile") if is_listed(file)]
    return [*_named_in(header, "DataFile"), *(markers or _of_same_stem(header, (".vmrk",)))]


def _of_eeglab(file: Path) -> list[Path]:
    """Where the signal lies that a ``.set`` may name by a name it had before."""
    orphans = (f for f in sorted(file.parent.glob("*.fdt")) if not is_listed(f.with_suffix(".set")))
    return _of_same_stem(file, (".fdt",)) or list(orphans)


def _later_parts(file: Path) -> list[Path]:
    """Later parts of a split FIF file: ``raw-1.fif``, or ``split-02`` after ``split-01``."""
    ending = ".fif.gz" if file.name.lower().endswith(".gz") else ".fif"
    stem = file.name[: -len(ending)]
    first = re.fullmatch(r"(.+_split-)0*1(_.*)?", stem)
    later = rf"{re.escape(first[1])}\d+{re.escape(first[2] or '')}" if first else rf"{re.escape(stem)}-\d+"
    pattern = re.compile(later + re.escape(ending), re.IGNORECASE)
    return sorted(f for f in file.parent.iterdir() if pattern.fullmatch(f.name) and f.name != file.name)
