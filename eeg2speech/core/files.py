"""Writing files so that each is complete or absent, and values as JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import DataError, DiskError


@contextmanager
def written_beside(file: Path) -> Iterator[Path]:
    """Provide a path beside ``file`` to write to, which is renamed to ``file`` at the end.

    After an error the partial file is removed and an earlier ``file`` is unchanged. Two writers never share a path, not
    even on two machines. An error of the disk names ``file``.
    """
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(file)
    except OSError as error:
        error.filename = str(file)  # the error of a full disk has no file name
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line that says what is kept.

    Args:
        path: What is written, for the error message.

    Raises:
        DiskError: The disk is full or cannot be written.
        DataError: The name of the file is too long.
    """
    try:
        yield
    except Exception as error:
        # numpy reports a short write without a number, libsndfile a full disk as an error of its own
        full = isinstance(error, OSError) and error.errno in (None, errno.ENOSPC, errno.EDQUOT)
        if full or type(error).__name__ == "LibsndfileError":
            raise DiskError(
                f"{path}: the disk is full ({error}); free some space and run the same command again: finished "
                "recordings are kept"
            ) from error
        if not isinstance(error, OSError):
            raise
        if error.errno == errno.ENAMETOOLONG:
            raise DataError(f"{path.name}: the name is too long for the disk; shorten it") from error
        raise DiskError(f"{path}: cannot be written ({error.strerror}); choose another OUT") from error


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(file: Path, content: Any) -> None:
    """Write indented JSON; the file is complete or absent."""
    with written_beside(file) as partial:
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True)
        partial.write_text(text + "\n", encoding="utf-8")


def printable(text: str) -> str:
    """A text that can be written as UTF-8, with escapes for the invalid bytes of a file's name."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_jsonable(value: Any) -> Any:
    """A value in JSON's types: paths as text, numbers that are not finite as None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): to_jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [to_jsonable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return (
        str(value) if isinstance(value, Path) else to_jsonable(value.item() if hasattr(value, "item") else str(value))
    )
