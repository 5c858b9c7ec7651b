"""What KUL and DTU, data sets of attention to one of two talkers, share: a MATLAB file a person, a folder of sounds.

Their labels say where the attended talker was. Attention stays with one talker throughout a trial, and a network
recognises the trial that a window of EEG is from, so windows of one trial must not be in training and in test.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.readers.base import chosen


def subject_files(folder: Path, remedy: str) -> dict[str, Path]:
    """File by participant: ``S1.mat`` is of ``01``.

    Raises:
        DataError: There is none.
    """
    found = {subject_number(file): file for file in folder.glob("S*.mat") if re.fullmatch(r"S\d+", file.stem)}
    if not found:
        raise DataError(f"{folder}: holds no S1.mat or the like; {remedy}")
    return {f"{number:02d}": found[number] for number in sorted(found)}


def subject_number(file: Path) -> int:
    """Number in ``S1.mat``."""
    return int(file.stem[1:])


def wanted(files: Mapping[str, Path], subjects: Sequence[str | int] | None, folder: Path) -> list[str]:
    """Participants that were asked for; ``S1``, ``1`` and ``01`` are the same one."""
    labels = None if subjects is None else [re.sub(r"^[sS](?=\d)", "", str(label)) for label in subjects]
    return chosen(files, labels, folder)


def sound_folder(given: Path | None, root: Path, usual: str) -> Path:
    """Folder of the sounds.

    Raises:
        DataError: It is not there.
    """
    folder = find_folder(root, usual) if given is None else expanded(given)
    if folder is None or not folder.is_dir():
        raise DataError(f"{folder or root / usual}: no such folder; unpack the sounds there or name theirs (sounds)")
    return folder


def find_folder(root: Path, *names: str) -> Path | None:
    """First folder of one of the names, in upper or lower case."""
    folders = {folder.name.lower(): folder for folder in sorted(root.glob("*")) if folder.is_dir()}
    return next((folders[name.lower()] for name in names if name.lower() in folders), None)


def part(file: Path, structure: Any, *fields: str) -> Any:
    """A field of nested structures.

    Raises:
        DataError: It is missing.
    """
    for depth, field in enumerate(fields):
        if not isinstance(structure, Mapping) or field not in structure:
            raise DataError(f"{file}: no field {'.'.join(fields[: depth + 1])}; download it again")
        structure = structure[field]
    return structure


def number_at(file: Path, structure: Any, *fields: str) -> float:
    """A positive number in a field of nested structures.

    Raises:
        DataError: It is missing or no positive number.
    """
    with wrap_read_errors(file):
        number = float(part(file, structure, *fields))
    if not 0 < number < math.inf:
        raise DataError(f"{file}: {'.'.join(fields)} is {number:g}; download it again")
    return number


def listed(value: Any) -> list[Any]:
    """A list, an array or a single value as a list."""
    if isinstance(value, list):
        return value
    return np.asarray(value).ravel().tolist() if isinstance(value, np.ndarray) else [value]
