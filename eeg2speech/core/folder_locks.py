"""Locks on folders of results, for one process that trains in it and any number of others that only add files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.core.locks import HeldError, locked

PATIENCE = 10.0
"""Seconds that a command waits for another to release a folder."""
LONG_PATIENCE = 120.0
"""Seconds that a continued run waits: an earlier process may still save, and NFS keeps locks of dead machines."""
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Variables with the rank of this process, in the order in which Lightning reads them, then those of MPI."""


@contextmanager
def sole_writer(folder: Path, command: str, option: str = "--run", patience: float = PATIENCE) -> Iterator[None]:
    """Lock a folder for one writing process.

    Args:
        folder: Created if necessary, and removed at the end if it is empty.
        command: Name of the command, for the messages of others.
        option: Option that names another folder, for error messages.
        patience: Seconds to wait for another process.

    Raises:
        ConfigError: Another process holds the lock.
        DiskError: The folder cannot be created or written.
    """
    with _made(folder, option), _locked(folder, "writing", command, option, patience=patience):
        yield


@contextmanager
def guest(folder: Path, command: str, option: str = "--run") -> Iterator[None]:
    """Prevent a folder from being renamed while a process adds files to it, also beside one that trains in it.

    Raises:
        ConfigError: The folder is being renamed.
        DiskError: It cannot be created or written.
    """
    with _made(folder, option), _locked(folder, "guests", command, option, shared=True, patience=PATIENCE):
        yield


@contextmanager
def without_guests(folder: Path) -> Iterator[None]:
    """Lock a folder that is to be renamed.

    Raises:
        ConfigError: Another process adds files to it.
    """
    with _locked(folder, "guests", "fit", "--run"):
        yield


def first_rank() -> bool:
    """Whether this process is the first of its run, which locks the folder for all ranks."""
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), "0")
    node = os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0"))
    return int(rank) == 0 and ("RANK" in os.environ or int(node) == 0)


@contextmanager
def _locked(
    folder: Path, kind: str, command: str, option: str, shared: bool = False, patience: float = 0.0
) -> Iterator[None]:
    file = _lock_file(folder, kind)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(file, command, shared, patience))
        except HeldError as held:
            raise ConfigError(
                f"{folder}: in use by another process ({held}); wait until it has ended, or name another folder "
                f"({option}). If its machine is gone, remove {file}"
            ) from held
        except OSError as error:
            raise DiskError(f"{file}: cannot be written ({error.strerror}); name another folder ({option})") from error
        yield


def _lock_file(folder: Path, kind: str) -> Path:
    """Beside the folder, which may be renamed; inside it if the parent is read-only, as for a mounted volume."""
    folder = folder.resolve()
    beside = os.access(folder.parent, os.W_OK | os.X_OK)
    return (folder.parent if beside else folder) / f".{folder.name}.{kind}"


@contextmanager
def _made(folder: Path, option: str) -> Iterator[None]:
    new: list[Path] = []
    try:
        try:
            new += [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
            if folder.is_file():
                raise DiskError(f"{folder}: a file, not a folder; name another ({option})")
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise DiskError(
                f"{folder}: cannot be written ({error.strerror}); name another folder ({option})"
            ) from error
        yield
    finally:
        for path in new:
            with suppress(OSError):  # not empty, or not made
                path.rmdir()
