"""Base class of the readers of datasets, and what they share in finding files."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.store.store import Description


@dataclass
class Reader(ABC):
    """A dataset on disk.

    A subclass describes the dataset in its class attributes and yields its recordings in ``find``. Its fields are the
    options of ``eeg2speech prepare NAME``. Reading a recording (``Source.load``) raises a ``DataError`` if a file is
    missing or damaged, or if files contradict each other.

    Attributes:
        root: Folder of the dataset.
        subjects: Participants, e.g. [1,2]; all if not given.
    """

    name: ClassVar[str]
    """Name of the dataset in ``eeg2speech prepare NAME``."""
    title: ClassVar[str] = "unknown"
    """Name of the dataset in its publications."""
    url: ClassVar[str] = "unknown"
    license: ClassVar[str] = "unknown"
    citation: ClassVar[str] = "unknown"
    selections: ClassVar[tuple[str, ...]] = ("root", "subjects", "sessions", "tasks", "runs")
    """Options that choose recordings but do not change the content of a recording."""
    layout: ClassVar[str]
    """Content of the dataset's folder, for error messages."""

    root: Path
    subjects: list[str | int] | None = None

    @abstractmethod
    def find(self, root: Path) -> Iterator[Source]:
        """Yield the recordings of all participants, in an order that does not depend on the file system."""

    def sources(self) -> list[Source]:
        """List the selected recordings, without reading them.

        Raises:
            ConfigError: An option has a value that cannot work.
            DataError: The folder is not this dataset, or contains none of the selected recordings.
        """
        root = expanded(self.root)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder that holds {self.layout}")
        found = list(self.find(root))
        subjects = select(dict.fromkeys(s.subject for s in found), self.subjects, root) if found else []
        found = [source for source in found if source.subject in subjects]
        if all(isinstance(source.load, partial) and source.load.func is _refuse for source in found):
            raise DataError(f"{root}: holds no {self.layout}; give the folder that holds it, or download it again")
        return found

    def description(self) -> Description:
        """Content of ``dataset.json``."""
        settings = {"reader": self.name} | {f"reader.{key}": value for key, value in self.settings().items()}
        return Description(
            self.title, self.url, self.license, self.citation, simulated=False, rate=100.0, settings=settings
        )

    def settings(self) -> dict[str, Any]:
        """Options that change the content of the store."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.selections}


def select(found: Iterable[str], wanted: Sequence[str | int] | None, where: Path) -> list[str]:
    """Selected labels; all if ``wanted`` is None. ``5``, ``S5``, ``subject5`` and ``sub-05`` select ``05``.

    Raises:
        DataError: A label does not exist.
    """
    found = list(found)
    if wanted is None:
        return found
    selected = set()
    for label in wanted:
        name = str(label).removeprefix("sub-")
        same = [name] if name in found else [f for f in found if _number(f) == _number(name) is not None]
        if not same:
            raise DataError(f"{where}: no participant {str(label)!r}; it holds {', '.join(found) or 'none'}")
        selected.add(same[0])
    return [label for label in found if label in selected]


def _number(label: str) -> int | None:
    match = re.fullmatch(r"(?:subject|s)?(\d+)", label, re.IGNORECASE)
    return int(match[1]) if match else None


def check_choice(option: str, given: Iterable[str] | None, known: Iterable[str]) -> None:
    """Check the values of an option.

    Raises:
        ConfigError: A value is unknown.
    """
    unknown = [value for value in given or () if value not in known]
    if unknown:
        raise ConfigError(f"{option}: {unknown[0]!r} is unknown; choose from {', '.join(known)}")


def by_number(paths: Iterable[Path], pattern: str) -> dict[str, Path]:
    """Paths whose stem matches a pattern, sorted by the number in it: ``S1.mat`` under ``01``."""
    found = {int(match[1]): path for path in paths if (match := re.fullmatch(pattern, path.stem))}
    return {f"{number:02d}": found[number] for number in sorted(found)}


def find_folder(root: Path, *names: str) -> Path | None:
    """First folder that has one of the names, in upper or lower case."""
    folders = {folder.name.lower(): folder for folder in sorted(root.glob("*")) if folder.is_dir()}
    return next((folders[name.lower()] for name in names if name.lower() in folders), None)


def sound_folder(given: Path | None, root: Path, default: str) -> Path:
    """Folder of the sounds: the one that was given, else the one of the default name in ``root``.

    Raises:
        DataError: The folder does not exist.
    """
    folder = find_folder(root, default) if given is None else expanded(given)
    if folder is None or not folder.is_dir():
        raise DataError(f"{folder or root / default}: no such folder; unpack the sounds there or name theirs (sounds)")
    return folder


def missing_source(recording: str, subject: str, session: str, run: str, message: str) -> Source:
    """A recording whose signal is missing: reading it raises a ``DataError`` with the message."""
    return Source(recording, subject, session, run, (), partial(_refuse, message))


def _refuse(message: str) -> RawRecording:
    raise DataError(message)
