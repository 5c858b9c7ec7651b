"""How a BIDS dataset lies on disk: recordings, the entities in their names, sidecars and tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.companions import LED_TO, UNSUPPORTED
from eeg2speech.data.files.downloads import check_downloaded, has_content, is_listed
from eeg2speech.data.files.signal_files import signal_files

Datatype = Literal["eeg", "ieeg", "meg"]
SUFFIXES = (".fif", ".vhdr", ".edf", ".bdf", ".set", ".ds", ".con", ".sqd")
"""Of the files that hold or lead to a signal; the earlier one is read where a recording is there twice."""
LONG = {"sub": "subject", "ses": "session", "acq": "acquisition"}
"""Names of entities that BIDS shortens in file names."""


@dataclass(frozen=True)
class BidsRecording:
    """A recording that a file name promises.

    Attributes:
        name: Id: the file's name without suffix and ``split``.
        file: What is opened: of a split recording the first part.
        datatype: Kind of signal.
        entities: What its name says, by long name, e.g. ``{"subject": "01", "run": "2"}``.
    """

    name: str
    file: Path
    datatype: Datatype
    entities: dict[str, str]

    def files(self) -> list[Path]:
        """Every file that the signal is spread over."""
        return signal_files(self.file)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: Cell by column; empty where the table says ``n/a``.
        where: File and line, for error messages.
    """

    cells: dict[str, str]
    where: str


def entities(name: str) -> dict[str, str]:
    """What a file's name says, by long name: ``sub-01_run-2_eeg.edf`` gives subject ``01`` and run ``2``."""
    pairs = (part.split("-", 1) for part in name.split("_")[:-1] if "-" in part)
    return {LONG.get(key, key): value for key, value in pairs}


def recordings(root: Path, datatype: Datatype) -> list[BidsRecording]:
    """Recordings of one kind, sorted by id.

    The standard's own places are searched, so that ``derivatives/`` and ``sourcedata/`` are left alone. What was not
    downloaded is a recording, too, unless it is there in another format; and so is what is there in no format that is
    read, or without the file that leads to it: opening it says so.
    """
    found: dict[str, BidsRecording] = {}
    places = (f"sub-*/{datatype}/sub-*", f"sub-*/ses-*/{datatype}/sub-*")
    files = [file for place in places for file in root.glob(place) if _order(file) <= len(SUFFIXES)]
    for file in sorted(files, key=_preference):
        said = entities(file.name)
        first = said.pop("split", "1").lstrip("0") == "1"
        stem = Path(file.name.removesuffix(".gz")).stem
        if stem.endswith(f"_{datatype}") and first:
            parts = [part for part in stem.split("_")[:-1] if not part.startswith("split-")]
            name = "_".join(parts).replace(":", "-").replace("\\", "-")
            found.setdefault(name, BidsRecording(name, file, datatype, said))
    return [found[name] for name in sorted(found)]


def _preference(file: Path) -> tuple[bool, bool, int, Path]:
    """Files of a recording in the order in which they are read: those with content first."""
    order = _order(file)
    return order >= len(SUFFIXES), not (file.is_dir() or has_content(file)), order, file


def _order(file: Path) -> int:
    """Rank of a file among those of a recording; beyond ``len(SUFFIXES)`` it is none."""
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES.index(suffix)
    return len(SUFFIXES) + (suffix not in (*UNSUPPORTED, *LED_TO))


def sidecars(root: Path, recording: BidsRecording, ending: str, free: Collection[str] = ()) -> list[Path]:
    """Files that describe a recording by the standard's inheritance principle, the most specific first.

    Such a file lies in the recording's folder or above it and names no entity that the recording contradicts.

    Args:
        root: Folder of the dataset.
        recording: What is to be described.
        ending: Of the file's name, e.g. ``events.tsv``.
        free: Entities that the recording need not have, such as ``space`` of electrodes.
    """
    found = []
    folder = recording.file.parent
    for depth, above in enumerate([folder, *folder.parents]):
        for file in above.iterdir():
            if file.name == ending or file.name.endswith(f"_{ending}"):
                said = {key: value for key, value in entities(file.name).items() if key not in free}
                if is_listed(file) and said.items() <= recording.entities.items():
                    found.append(((depth, -len(said), file.name), file))
        if above == root:
            break
    return [file for _, file in sorted(found)]


def sidecar(root: Path, recording: BidsRecording, ending: str) -> Path | None:
    """The most specific of ``sidecars``, None if there is none."""
    return next(iter(sidecars(root, recording, ending)), None)


def read_rows(file: Path) -> Iterator[Row]:
    """Read a tab-separated table of the standard: ``n/a`` where nothing is known.

    Quotes around a cell, which the standard has not and spreadsheets write, are taken off; so are empty cells beyond
    the last column.

    Raises:
        DataError: It is no such table; names file and line.
    """
    check_downloaded(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is no text in UTF-8 ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check the file") from error
    header, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    columns = _cells(header)
    _check_columns(columns, file)
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        cells = _cells(line)
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        if len(cells) != len(columns):
            raise DataError(f"{file}: line {number}: {len(cells)} cells under {len(columns)} columns; correct the row")
        known = {name: "" if cell == "n/a" else cell for name, cell in zip(columns, cells, strict=True)}
        yield Row(known, f"{file}: line {number}")


def _cells(line: str) -> list[str]:
    return [_unquoted(cell.strip()) for cell in line.split("\t")]


def _unquoted(cell: str) -> str:
    inner = cell[1:-1].replace('""', "\0")
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner
    return inner.replace("\0", '"').strip() if quoted else cell


def _check_columns(columns: list[str], file: Path) -> None:
    if len(columns) == 1 and (found := re.search("[,;]", columns[0])):
        raise DataError(f"{file}: its columns are separated by {found[0]!r}, which is not supported; separate by tabs")
    double = next((name for name in columns if name and columns.count(name) > 1), None)
    if double:
        raise DataError(f"{file}: column {double!r} occurs twice; remove or rename one")
