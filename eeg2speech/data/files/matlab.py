"""MATLAB files of every version, as plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.reading import wrap_read_errors


def read_mat(file: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """Read variables of a ``.mat`` file: v5 to v7.2, or v7.3, which is HDF5.

    Structures become dictionaries, numbers NumPy arrays without dimensions of size 1, and cells lists.

    Args:
        file: The file.
        names: Variables to read; all if empty.

    Raises:
        DataError: The file is missing or damaged, or lacks one of the variables.
    """
    from pymatreader import read_mat as read

    with wrap_read_errors(file):
        found: dict[str, Any] = read(str(file), variable_names=list(names) or None)
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"{file}: no variable {missing[0]!r}; this is another file, or the download is not complete")
    return found
