"""Gzipped recordings, unpacked for as long as they are read."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from eeg2speech.core.errors import DataError, DiskError
from eeg2speech.core.types import RawRecording
from eeg2speech.data.files.reading import wrap_read_errors

CHUNK = 2**22
"""Bytes unpacked at once."""
LARGEST = 32 * 10**9
"""Largest unpacked file in bytes; a larger one is refused as a zip bomb. Five hours of 73 channels at 8192 Hz with
24 bits fit in."""


def read_packed(file: Path, read: Callable[[Path], RawRecording]) -> RawRecording:
    """Read a recording that may be gzipped.

    It is unpacked into the folder for temporary files (TMPDIR). The copy is deleted with the signal that ``read``
    returned, when reading fails, and when the program ends.

    Raises:
        DataError: The file is damaged.
        DiskError: There is no room for the copy.
    """
    if file.suffix.lower() != ".gz":
        return read(file)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eeg2speech-")))
        unpacked = folder / file.stem
        _unpack(file, unpacked)
        recorded = read(unpacked)
        weakref.finalize(recorded.eeg, stack.pop_all().close)
    return recorded


def _unpack(file: Path, target: Path) -> None:
    written = 0
    with wrap_read_errors(file), gzip.open(file) as packed, target.open("wb") as stream:
        while chunk := packed.read(CHUNK):
            written += len(chunk)
            if written > LARGEST:
                raise DataError(f"{file}: unpacks to more than {LARGEST / 1e9:.0f} GB, which is no recording")
            try:
                stream.write(chunk)
                stream.flush()  # so that a full disk raises here, not on closing
            except OSError as error:
                free = shutil.disk_usage(target.parent).free / 1e9
                raise DiskError(
                    f"{file}: cannot be unpacked into {target.parent} ({error.strerror}, {free:.1f} GB free); "
                    "set TMPDIR to a folder on a larger disk"
                ) from error
