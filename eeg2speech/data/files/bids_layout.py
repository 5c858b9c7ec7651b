"""Files of a BIDS dataset: recordings, the entities in their names, sidecars and tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.downloads import check_downloaded, has_content, is_listed
from eeg2speech.data.files.signal_files import HEADERS, UNSUPPORTED

Datatype = Literal["eeg", "ieeg", "meg"]
SUFFIXES = (".fif", ".vhdr", ".edf", ".bdf", ".set", ".ds", ".con", ".sqd")
"""Suffixes of signals and their headers; where a recording has several files, the one with the first suffix is read."""
LONG = {"sub": "subject", "ses": "session", "acq": "acquisition"}
"""Names of entities that BIDS shortens in file names."""


@dataclass(frozen=True)
class BidsRecording:
    """A recording according to a file name.

    Attributes:
        name: Id: the file's name without suffix and ``split``.
        file: File that is opened; of a split recording the first part.
        datatype: Kind of signal.
        entities: Entities in the name, by long name, e.g. ``{"subject": "01", "run": "2"}``.
    """

    name: str
    file: Path
    datatype: Datatype
    entities: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: Cell by column; empty where the table has ``n/a``.
        where: File and line, for error messages.
    """

    cells: dict[str, str]
    where: str


def entities(name: str) -> dict[str, str]:
    """Entities in a file name, by long name: ``sub-01_run-2_eeg.edf`` gives subject ``01`` and run ``2``."""
    pairs = (part.split("-", 1) for part in name.split("_")[:-1] if "-" in part)
    return {LONG.get(key, key): value for key, value in pairs}


def recordings(root: Path, datatype: Datatype) -> list[BidsRecording]:
    """Recordings of one kind, sorted by id.

    Only the folders of the standard are searched, not ``derivatives/`` and ``sourcedata/``. Files that were not
    downloaded are listed, unless the recording exists in another format. So are files in formats that are not read and
    signals without their header: opening them raises an error.
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
    """Sort key of the files of a recording: files with content first."""
    order = _order(file)
    return order >= len(SUFFIXES), not (file.is_dir() or has_content(file)), order, file


def _order(file: Path) -> int:
    """Rank of a file by suffix; above ``len(SUFFIXES)`` it is no recording."""
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES.index(suffix)
    return len(SUFFIXES) + (suffix not in (*UNSUPPORTED, *HEADERS))


def sidecars(root: Path, recording: BidsRecording, ending: str, free: Collection[str] = ()) -> list[Path]:
    """Files that describe a recording by the standard's inheritance principle, the most specific first.

    Such a file is in the recording's folder or above it, and its entities do not contradict those of the recording.

    Args:
        root: Folder of the dataset.
        recording: Recording that the files describe.
        ending: End of the file name, e.g. ``events.tsv``.
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
    """The most specific of ``sidecars``; None if there is none."""
    return next(iter(sidecars(root, recording, ending)), None)


def read_rows(file: Path) -> Iterator[Row]:
    """Read a tab-separated table of the standard, in which ``n/a`` is an unknown value.

    Quotes around a cell, which spreadsheets write though the standard does not allow them, are removed; so are empty
    cells after the last column.

    Raises:
        DataError: The file is no such table; the message names file and line.
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
