"""Files without their content: dangling links, pointers of git-annex and Git LFS."""

from __future__ import annotations

import re
from pathlib import Path

from eeg2speech.core.errors import DataError

LARGEST = 2**15
"""Bytes of the largest pointer file that git-annex accepts."""
ANNEX = re.compile(rb"/annex/objects/|(\.{1,2}[/\\])*\.git[/\\]annex[/\\]objects[/\\]")
"""Start of a pointer of git-annex, or of a link that was checked out as text on a file system without links."""
LFS = re.compile(rb"version https://(git-lfs\.github|hawser\.github)\.com/spec/")


def is_listed(file: Path) -> bool:
    """Whether a file exists, with or without its content."""
    return file.is_file() or (file.is_symlink() and not file.exists())


def has_content(file: Path) -> bool:
    """Whether a file exists and is not a pointer to its content."""
    return file.is_file() and not _pointer_to(file)


def check_downloaded(file: Path) -> None:
    """Check that the content of a file was downloaded.

    Raises:
        DataError: The file is a dangling link or a pointer; the message says how to get the content.
    """
    if file.is_symlink() and not file.exists():
        target = str(file.readlink())
        command = "run `datalad get` on it" if "annex" in target else "restore what it points to"
        raise DataError(f"{file}: not downloaded, it is a link to {target}, which does not exist; {command}")
    if command := _pointer_to(file):
        raise DataError(f"{file}: not downloaded, it is a pointer to its content; run `{command}` on it")


def _pointer_to(file: Path) -> str:
    """The command that gets the content of a pointer file; empty for other files."""
    try:
        if not file.is_file() or not 0 < file.stat().st_size <= LARGEST:
            return ""
        with file.open("rb") as stream:
            start = stream.read(100)
    except OSError:  # reported where the file is read
        return ""
    return "datalad get" if ANNEX.match(start) else "git lfs pull" if LFS.match(start) else ""
