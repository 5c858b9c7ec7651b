"""Writing into a store: what goes wrong there is not the fault of a recording."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError, DiskError
from eeg2speech.core.files import written_beside


class disk_of:  # noqa: N801
    """Turns a full or read-only disk into one line that says what is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # None: numpy reports a short write without a number
        full = isinstance(error, OSError) and error.errno in (None, errno.ENOSPC, errno.EDQUOT)
        # libsndfile reports a full disk as an error of its own
        if full or type(error).__name__ == "LibsndfileError":
            raise DiskError(
                f"{self.path}: the disk is full ({error}); free some space and run the same command again: "
                "finished recordings are kept"
            ) from error
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            raise DataError(f"{self.path.name}: a name that the disk does not take; shorten it") from error
        if isinstance(error, OSError):
            raise DiskError(f"{self.path}: cannot be written ({error.strerror}); choose another OUT") from error


def save_array(file: Path, values: NDArray[np.floating]) -> None:
    """Write an array as float32, never half of it.

    Raises:
        DiskError: The disk is full or cannot be written.
    """
    with disk_of(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as partial, partial.open("wb") as stream:
            np.save(stream, np.ascontiguousarray(values, np.float32), allow_pickle=False)
