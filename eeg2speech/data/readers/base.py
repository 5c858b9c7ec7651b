"""What every reader of a dataset has and needs: clear errors over damaged files, and paths that stay inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from eeg2speech.data.store import Description
from eeg2speech.errors import DataError, Eeg2SpeechError
from eeg2speech.types import Source

logger = logging.getLogger(__name__)


class Reader(Protocol):
    """A dataset on disk. Readers are dataclasses, whose fields are the options of ``eeg2speech prepare NAME``.

    Attributes:
        root: Folder of the raw data.
    """

    root: Path

    def sources(self) -> list[Source]:
        """Its recordings, unread, in an order that does not depend on the file system.

        Raises:
            DataError: The folder is not this dataset, or holds nothing of what was asked for.
        """

    def description(self) -> Description:
        """What goes into ``dataset.json``."""


def describe(name: str, source: str, license: str, citation: str, reader: str, **options: Any) -> Description:
    """Description of real recordings.

    Args:
        name: Dataset.
        source: Where the raw data can be had.
        license: Licence of the raw data, or ``unknown``.
        citation: What to cite.
        reader: Name of the reader in ``eeg2speech prepare NAME``.
        options: Settings of the reader that change what is in the store.
    """
    settings = {"reader": reader} | {f"reader.{key}": value for key, value in options.items()}
    return Description(name, source, license, citation, simulated=False, rate=100.0, settings=settings)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn whatever a library raises over a damaged file into one line that names the file.

    Warnings of the library are logged with the file's name instead of being shown with a line of its source.

    Raises:
        DataError: The file could not be read.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except (Eeg2SpeechError, MemoryError):
        raise
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or one_line(error)}); download it again") from error
    # parsers of others raise anything on damaged files: AssertionError, AttributeError, UnboundLocalError, ...
    except Exception as error:
        raise DataError(f"{file}: cut short or damaged ({one_line(error)}); download it again") from error
    for text in dict.fromkeys(one_line(warning.message) for warning in caught):
        logger.info("%s: %s", file, text)


def one_line(error: object) -> str:
    """The first line of a message, or the error's name where it has none."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def inside(root: Path, path: str | Path, named_in: str | Path) -> Path:
    """A path that a file of the dataset names, which must not lead out of the dataset.

    Links that the dataset's own folder contains (datalad, git-annex) may point anywhere; only what the path itself
    says counts.

    Args:
        root: Folder of the dataset.
        path: Relative to ``root``, with slashes or backslashes.
        named_in: File that names it, for the error message.

    Raises:
        DataError: It is absolute or leads out of ``root``.
    """
    parts = str(path).replace("\\", "/").split("/")
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            break
    if depth < 0 or str(path).startswith(("/", "\\", "~")) or ":" in parts[0] or "\0" in str(path):
        raise DataError(f"{named_in}: {str(path)!r} leads out of {root}; correct it")
    return root.joinpath(*parts)


def chosen(found: Iterable[str], wanted: Sequence[str | int] | None, where: Path) -> list[str]:
    """Labels that were asked for, each once; ``5`` and ``sub-05`` find ``05``.

    Args:
        found: Labels that there are.
        wanted: Labels asked for; None for all.
        where: Folder they were looked for in, for the error message.

    Raises:
        DataError: One of them is not there.
    """
    found = list(found)
    if wanted is None:
        return found
    labels = []
    for label in wanted:
        name = str(label).removeprefix("sub-")
        match = [f for f in found if f == name or (f.isdigit() and name.isdigit() and int(f) == int(name))]
        if not match:
            raise DataError(f"{where}: no participant {str(label)!r}; it holds {', '.join(found) or 'none'}")
        labels.append(match[0])
    return list(dict.fromkeys(labels))
