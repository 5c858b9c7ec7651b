"""Files that a folder lists while their content is elsewhere: links that dangle, pointers of git-annex and Git LFS."""

from __future__ import annotations

import re
from pathlib import Path

from eeg2speech.core.errors import DataError

LARGEST = 2**15
"""Bytes of the largest pointer file: git-annex looks no further."""
ANNEX = re.compile(rb"/annex/objects/|(\.{1,2}[/\\])*\.git[/\\]annex[/\\]objects[/\\]")
"""How a pointer of git-annex begins, or a link that was checked out as text where there are no links."""
LFS = re.compile(rb"version https://(git-lfs\.github|hawser\.github)\.com/spec/")


def is_listed(file: Path) -> bool:
    """Whether a file is there, be it as a link whose content was not downloaded."""
    return file.is_file() or (file.is_symlink() and not file.exists())


def has_content(file: Path) -> bool:
    """Whether a file can be read, and is not a pointer to its content."""
    return file.is_file() and not _pointer_to(file)


def check_downloaded(file: Path) -> None:
    """Refuse a file whose content was not downloaded.

    Raises:
        DataError: It is a link that dangles, or a pointer; says how to get the content.
    """
    if file.is_symlink() and not file.exists():
        target = str(file.readlink())
        command = "run `datalad get` on it" if "annex" in target else "restore what it points to"
        raise DataError(f"{file}: not downloaded, it is a link to {target}, which is not there; {command}")
    if command := _pointer_to(file):
        raise DataError(f"{file}: not downloaded, it is a pointer to its content; run `{command}` on it")


def _pointer_to(file: Path) -> str:
    """The command that gets the content of a pointer file; empty if it is none."""
    try:
        if not file.is_file() or not 0 < file.stat().st_size <= LARGEST:
            return ""
        with file.open("rb") as stream:
            start = stream.read(100)
    except OSError:  # reported where the file is read
        return ""
    return "datalad get" if ANNEX.match(start) else "git lfs pull" if LFS.match(start) else ""
