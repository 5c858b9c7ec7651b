"""Tab-separated tables in the style of BIDS, read into and written from dataclasses."""

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
_DIALECT: dict[str, Any] = {"delimiter": "\t", "lineterminator": "\n"}


def write_table(file: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write dataclass rows, one column per field; an existing file is replaced once the new one is complete."""
    columns = [f.name for f in fields(row_type)]  # type: ignore[arg-type]
    with written_beside(file) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, **_DIALECT)
        writer.writerow(columns)
        writer.writerows([_cell(getattr(row, column)) for column in columns] for row in rows)


def append_row(file: Path, row: Any) -> None:
    """Append a dataclass row to a table that ``write_table`` wrote."""
    with file.open("a", newline="", encoding="utf-8") as stream:
        csv.writer(stream, **_DIALECT).writerow([_cell(getattr(row, field.name)) for field in fields(row)])


def read_table(file: Path, row_type: type[Row], optional: bool = False) -> list[Row]:
    """Read a table into dataclass rows.

    Columns without a field are ignored; a column whose field has a default may be missing.

    Args:
        file: The table.
        row_type: Dataclass with one field per column.
        optional: Return no rows if there is no such file.

    Raises:
        DataError: The file is missing, lacks a column or holds a cell of the wrong type.
    """
    if not file.is_file():
        if optional:
            return []
        raise DataError(f"{file}: missing; the store is damaged, prepare it again")
    types: dict[str, str] = {f.name: str(f.type) for f in fields(row_type)}  # type: ignore[arg-type]
    required = {f.name for f in fields(row_type) if f.default is MISSING_DEFAULT}  # type: ignore[arg-type]
    rows = []
    line = 1
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        try:
            there = set(reader.fieldnames or ())
            if missing := required - there:
                raise DataError(f"{file}: no column {', '.join(sorted(missing))}; prepare the store again")
            for line, row in enumerate(reader, start=2):  # noqa: B007  (named in the error)
                cells = {name: _value(row[name], kind) for name, kind in types.items() if name in there}
                rows.append(row_type(**cells))
        except (TypeError, ValueError, csv.Error) as error:  # UnicodeDecodeError of a binary file included
            raise DataError(f"{file}: line {line}: {error}; prepare the store again") from error
    return rows


def _cell(value: Any) -> str:
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, float):
        return f"{value:.9g}"
    return re.sub(r"[\t\r\n]+", " ", str(value))  # other blanks stay: file names may have two spaces in a row


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
