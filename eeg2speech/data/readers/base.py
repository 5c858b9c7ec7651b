"""What every reader of a dataset has, and how it describes the dataset and chooses from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.store.store import Description


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


def absent(recording: str, subject: str, session: str, run: str, message: str) -> Source:
    """A recording that the dataset lists and whose signal is missing: reading it says so, and it counts as dropped.

    Args:
        recording: Its id.
        subject: Who was recorded.
        session: Session label or empty.
        run: Run label or empty.
        message: Which file is missing, and what to do.
    """
    return Source(recording, subject, session, run, (), partial(_refuse, message))


def _refuse(message: str) -> RawRecording:
    raise DataError(message)


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
