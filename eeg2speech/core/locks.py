"""Locks on files, which the system releases whenever a process ends.

``flock`` leaves nothing to clean up after SIGKILL, and on NFS it works between machines. The package filelock has no
shared locks, and on a file system without locks it uses marker files, which remain after their process has been killed.
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
    """Another process holds a lock; the text names that process."""


@contextmanager
def locked(file: Path, what: str, shared: bool = False, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock, whose file is removed at the end.

    Args:
        file: Lock file, in a folder that can be written.
        what: Name of the work for messages of other processes, e.g. "fit".
        shared: Several processes may hold the lock; they exclude those that need it exclusively.
        patience: Seconds to wait while another process holds it.

    Raises:
        HeldError: Another process still holds it.
        OSError: The file cannot be created.
    """
    end = time.monotonic() + patience
    warned = False
    try:
        while (number := _attempt(file, shared)) is None:
            if time.monotonic() >= end:
                raise HeldError(_holder(file))
            if not warned:
                limit = "" if patience == inf else f" for up to {patience:.0f} s"
                logger.warning("%s: held by %s; waiting%s", file, _holder(file), limit)
            warned = True
            time.sleep(_PAUSE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        logger.warning(
            "%s: this file system has no locks (%s); make sure that no other process writes there", file, error.strerror
        )
        yield
        return
    _descriptors.add(number)
    try:
        with suppress(OSError):  # on a full disk the lock works without its text
            os.truncate(number, 0)
            os.pwrite(number, f"{what}, process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        _descriptors.discard(number)
        _release(file, number)


def _attempt(file: Path, shared: bool) -> int | None:
    """Descriptor of the lock; None if another process holds it."""
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    taken = False
    try:
        with suppress(PermissionError):  # of another owner; the file of a killed process must be usable by everybody
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
    """Whether the file is still the one that was opened; another process may have removed it since."""
    try:
        return os.path.samestat(os.fstat(number), file.stat())
    except FileNotFoundError:
        return False


def _release(file: Path, number: int) -> None:
    try:
        with suppress(OSError):  # the last of the processes that share the lock removes the file
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
    """Close locks in a forked process: a worker of a data loader may outlive a killed main process and its locks."""
    while _descriptors:
        with suppress(OSError):
            os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_close_in_child)
