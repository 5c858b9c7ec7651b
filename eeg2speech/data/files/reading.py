"""Errors of damaged files in one line, and paths that stay inside the dataset."""

from __future__ import annotations

import csv
import logging
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from eeg2speech.core.errors import DataError, Eeg2SpeechError
from eeg2speech.data.files.downloads import check_downloaded

EXPLAINED = (
    (r"number of trials is (\d+)", "holds {} epochs, which are not supported; export the continuous recording"),
    (r"No raw data in", "holds no continuous recording but epochs, averages or the like, which are not supported"),
    (r"next file (.+?) does not exist", "its part {} is missing; download it, and keep the names of all parts"),
    (r"[Ff]ile (\S.*?) not found", "{}, which it needs, is missing; download it"),
    (r"the module (\w+) is needed", "reading it needs a package that is not installed; pip install {}"),
    (r"encrypted|password", "is encrypted, which is not supported; decrypt it with its password first"),
    (r"allow_pickle", "holds Python objects, which are never read; save plain arrays"),
    (
        r"([Nn]ot (?:yet )?(?:supported|implemented)|[Uu]nsupported (?!operand))",
        "is of a kind that is not supported ({error}); convert it",
    ),
)
"""Messages of libraries that do not mean damage, and the messages that replace them."""

logger = logging.getLogger(__name__)


@contextmanager
def wrap_read_errors(file: Path) -> Iterator[None]:
    """Turn any error of a library that reads a file into a ``DataError`` of one line that names the file.

    Warnings of the library are logged with the file's name.

    Raises:
        DataError: The file could not be read.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except Eeg2SpeechError:
        check_downloaded(file)  # the error may come from the text of a pointer file
        raise
    except MemoryError:
        raise
    # parsers raise any exception on damaged files: AssertionError, AttributeError, UnboundLocalError, ...
    except Exception as error:
        other = _other_file(file, error)
        for needed in (other or file, file):
            check_downloaded(needed)
        raise DataError(f"{file}: {what_is_wrong(file, error)}") from error
    for text in dict.fromkeys(one_line(warning.message) for warning in caught):
        logger.info("%s: %s", file, text)


def read_csv(file: Path, columns: Iterable[str], delimiter: str = ",", errors: str = "strict") -> list[dict[str, str]]:
    """Rows of a table with a header, by column; the first row is line 2 of the file. Empty cells are empty strings.

    Raises:
        DataError: The file is missing or damaged, or lacks one of the columns.
    """
    with wrap_read_errors(file), file.open(encoding="utf-8-sig", errors=errors, newline="") as stream:
        table = csv.DictReader(stream, delimiter=delimiter, restval="")
        missing = [name for name in columns if name not in (table.fieldnames or ())]
        if missing:
            raise DataError(f"{file}: no column {missing[0]}; replace the file")
        return [{name: cell for name, cell in row.items() if name is not None} for row in table]


def what_is_wrong(file: Path, error: Exception) -> str:
    """Meaning of a library's error and remedy: the file is damaged, not supported, or needs another file."""
    text = one_line(error)
    if (other := _other_file(file, error)) is not None:
        return (
            f"{other}, which it needs, cannot be read ({error_text(error)}); download it, or where files were renamed "
            f"correct the name inside {file.name}"
        )
    for pattern, meaning in EXPLAINED:
        if found := re.search(pattern, text):
            return meaning.format(*found.groups(), error=text)
    if isinstance(error, UnicodeDecodeError):
        return f"is no text in UTF-8 ({error.reason}); save it as UTF-8, or download it again"
    if isinstance(error, NotImplementedError):
        return f"is of a kind that is not supported ({text}); convert it"
    if isinstance(error, OSError):
        return f"cannot be read ({error_text(error)}); download it again"
    return f"cut short or damaged ({text}); download it again"


def _other_file(file: Path, error: Exception) -> Path | None:
    """The file that an error is about, if it is not the one that is read."""
    named = error.filename if isinstance(error, OSError) else None
    return Path(named) if isinstance(named, str) and Path(named).absolute() != file.absolute() else None


def error_text(error: Exception) -> str:
    """Message of the operating system, else the first line of the error."""
    return getattr(error, "strerror", None) or one_line(error)


def one_line(error: object) -> str:
    """The first line of a message, or the type of the error if the message is empty."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def inside(root: Path, path: str | Path, named_in: str | Path) -> Path:
    """Resolve a path that a file of the dataset names; it must not lead out of the dataset.

    Only the path itself is checked: links in the dataset's folder (datalad, git-annex) may point anywhere. A name may
    differ from that of the file in case and in the composition of accents (macOS), if only one file matches.

    Args:
        root: Folder of the dataset.
        path: Relative to ``root``, with slashes or backslashes.
        named_in: File that names it, for the error message.

    Raises:
        DataError: The path is absolute or leads out of ``root``.
    """
    parts = str(path).replace("\\", "/").split("/")
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            break
    if depth < 0 or str(path).startswith(("/", "\\", "~")) or ":" in parts[0] or "\0" in str(path):
        raise DataError(f"{named_in}: {str(path)!r} leads out of {root}; correct it")
    found = root
    for part in parts:
        found = _similar(found, part)
    return found


def _similar(folder: Path, name: str) -> Path:
    """The only file of a folder with this name apart from case and accents, else the path of the name itself."""
    file = folder / name
    if file.exists() or not folder.is_dir():
        return file
    alike = _names(folder, folder.stat().st_mtime_ns).get(_plain(name), [])
    return folder / alike[0] if len(alike) == 1 else file


@lru_cache(maxsize=64)
def _names(folder: Path, _modified: int) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for file in folder.iterdir():
        names.setdefault(_plain(file.name), []).append(file.name)
    return names


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
