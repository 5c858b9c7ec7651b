"""Tab-separated tables in the manner of BIDS, read into and written from dataclasses."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import MISSING as MISSING_DEFAULT
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from eeg2speech.core.errors import DataError
from eeg2speech.core.files import written_beside

Row = TypeVar("Row")
MISSING = "n/a"


def write_table(file: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write dataclass rows, one column per field, beside the file and then rename."""
    columns = [f.name for f in fields(row_type)]  # type: ignore[arg-type]
    with written_beside(file) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(getattr(row, column)) for column in columns] for row in rows)


def append_row(file: Path, row: Any) -> None:
    """Add a dataclass row to the end of a table that ``write_table`` wrote."""
    with file.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow([_cell(getattr(row, field.name)) for field in fields(row)])


def read_table(file: Path, row_type: type[Row]) -> list[Row]:
    """Read a table into dataclass rows.

    Columns that the type does not know are passed over, and one that it has a default for may be missing.

    Raises:
        DataError: The file is missing, lacks a column or holds a cell of the wrong type.
    """
    if not file.is_file():
        raise DataError(f"{file}: missing; the store is damaged, prepare it again")
    types: dict[str, str] = {f.name: str(f.type) for f in fields(row_type)}  # type: ignore[arg-type]
    optional = {f.name for f in fields(row_type) if f.default is not MISSING_DEFAULT}  # type: ignore[arg-type]
    rows = []
    line = 1
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        try:
            there = set(reader.fieldnames or ())
            missing = types.keys() - there - optional
            if missing:
                raise DataError(f"{file}: no column {', '.join(sorted(missing))}; prepare the store again")
            for line, row in enumerate(reader, start=2):  # noqa: B007  (named in the error)
                rows.append(
                    row_type(**{name: _value(row[name], kind) for name, kind in types.items() if name in there})
                )
        except (TypeError, ValueError, csv.Error) as error:  # a binary file among them: UnicodeDecodeError
            raise DataError(f"{file}: line {line}: {error}; prepare the store again") from error
    return rows


def _cell(value: Any) -> str:
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, float):
        return f"{value:.9g}"
    return re.sub(r"[\t\r\n]+", " ", str(value))  # names of files may have two spaces in a row


def _value(cell: str | None, kind: str) -> Any:
    if cell is None:
        raise ValueError("too few cells")
    if kind == "int":
        return int(cell)
    if kind == "bool":
        return cell == str(True)
    if kind == "float":
        return float("nan") if cell == MISSING else float(cell)
    return "" if cell == MISSING else cell
