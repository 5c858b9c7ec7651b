"""Locks on files, which the system releases however a process ends.

``flock`` leaves nothing to clear away after SIGKILL, and on NFS it holds among machines. The package filelock has no
shared locks, and on a file system without locks it goes over to marker files, which outlive their process.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path

logger = logging.getLogger(__name__)
_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_PAUSE = 0.2
"""Seconds between two attempts."""
_descriptors: set[int] = set()


class HeldError(Exception):
    """Another process holds a lock; its text says which."""


@contextmanager
def locked(file: Path, what: str, shared: bool = False, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock, whose file is removed in the end.

    Args:
        file: Of the lock, in a folder that can be written.
        what: Does the work, in words for other processes, e.g. "fit".
        shared: Several processes may hold it; they exclude those that want it for themselves.
        patience: Seconds to wait while another process holds it.

    Raises:
        HeldError: Another process still holds it.
        OSError: The file cannot be made.
    """
    end = time.monotonic() + patience
    told = False
    try:
        while (number := _attempt(file, shared)) is None:
            if time.monotonic() >= end:
                raise HeldError(_holder(file))
            if not told:
                limit = "" if patience == inf else f" for up to {patience:.0f} s"
                logger.warning("%s: held by %s; waiting%s", file, _holder(file), limit)
            told = True
            time.sleep(_PAUSE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        logger.warning(
            "%s: this file system has no locks (%s); see that no other process writes there", file, error.strerror
        )
        yield
        return
    _descriptors.add(number)
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.truncate(number, 0)
            os.pwrite(number, f"{what}, process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        _descriptors.discard(number)
        _release(file, number)


def _attempt(file: Path, shared: bool) -> int | None:
    """Descriptor of a lock that was taken; None if another process holds it."""
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    taken = False
    try:
        with suppress(PermissionError):  # of another owner; everybody is to open what a killed process has left
            os.fchmod(number, 0o666)
        taken = _flock(number, shared) and _is_at(file, number)
    finally:
        if not taken:
            os.close(number)
    return number if taken else None


def _flock(number: int, shared: bool) -> bool:
    try:
        fcntl.flock(number, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD:
            raise
        return False
    return True


def _is_at(file: Path, number: int) -> bool:
    """Whether the file is still the one that was opened: another process may have removed it in between."""
    try:
        return os.path.samestat(os.fstat(number), file.stat())
    except FileNotFoundError:
        return False


def _release(file: Path, number: int) -> None:
    try:
        with suppress(OSError):  # the last of several that share it removes the file
            if _flock(number, shared=False) and _is_at(file, number):
                file.unlink()
    finally:
        os.close(number)


def _holder(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return "".join(letter for letter in text.strip()[:200] if letter.isprintable()) or "another process"


def _close_in_child() -> None:
    """A worker of a data loader outlives a main process that is killed, and would go on holding its locks."""
    while _descriptors:
        with suppress(OSError):
            os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_close_in_child)
