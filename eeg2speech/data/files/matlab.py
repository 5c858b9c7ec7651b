"""MATLAB files of every version as plain Python, and checked access to their fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.reading import wrap_read_errors


def read_mat(file: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """Read variables of a ``.mat`` file: v5 to v7.2, or v7.3, which is HDF5.

    Structures become dictionaries, cells lists, and numbers NumPy arrays without dimensions of size 1.

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


def get_field(file: Path, structure: Any, *path: str) -> Any:
    """A field of nested structures.

    Raises:
        DataError: The field is missing.
    """
    for depth, name in enumerate(path, start=1):
        if not isinstance(structure, Mapping) or name not in structure:
            raise DataError(f"{file}: no field {'.'.join(path[:depth])}; download it again")
        structure = structure[name]
    return structure


def get_rate(file: Path, structure: Any, *path: str) -> float:
    """A sampling rate in a field of nested structures, in hertz.

    Raises:
        DataError: The field is missing or holds no positive number.
    """
    with wrap_read_errors(file):
        rate = float(get_field(file, structure, *path))
    if not 0 < rate < math.inf:
        raise DataError(f"{file}: {'.'.join(path)} is {rate:g}, not a sampling rate; download it again")
    return rate


def as_list(value: Any) -> list[Any]:
    """A list, an array or a single value as a list. MATLAB has single values without a list around them."""
    if isinstance(value, list):
        return value
    return np.asarray(value).ravel().tolist() if isinstance(value, np.ndarray) else [value]
