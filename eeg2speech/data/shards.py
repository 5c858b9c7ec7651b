"""Several runs on one store: each does its share of the recordings, and one of them finishes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from filelock import BaseFileLock, FileLock, Timeout

from eeg2speech.errors import ConfigError, DiskError
from eeg2speech.paths import expanded
from eeg2speech.types import Source


@dataclass(frozen=True)
class Shard:
    """One of several runs that share the recordings of a dataset.

    Attributes:
        number: From 1 to ``count``.
        count: How many runs there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        Raises:
            ConfigError: It is not of that form, or i is not in 1..n.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(f"shard={text!r} must be i/n with i from 1 to n, e.g. 3/16")
        return cls(int(match[1]), int(match[2]))

    def of(self, sources: Sequence[Source]) -> Sequence[Source]:
        """Every ``count``-th recording."""
        return sources[self.number - 1 :: self.count]


WHOLE = Shard()


@contextmanager
def sole_writer(out: Path, shard: Shard) -> Iterator[None]:
    """Keep a second run off the same share of the same store: both would do the same work.

    Raises:
        ConfigError: Another run is at it.
        DiskError: The folder cannot be written.
    """
    out = expanded(out).absolute()
    base = f".{out.name}.preparing"
    own = base if shard == WHOLE else f"{base}-{shard.number}of{shard.count}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):  # a lock would take a folder that cannot be written for one that is held
            pass
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror}); choose another OUT") from error
    with _held(out, own):
        # a whole run and a shard exclude each other; shards do not
        others = sorted(out.parent.glob(f"{base}-*")) if shard == WHOLE else [out.parent / base]
        for other in others:
            with _held(out, other.name):
                pass
        yield


def finishing(out: Path) -> BaseFileLock:
    """Lock of the run that writes the tables of a store; others wait for it and then find them written.

    The run that has finished removes its file, and no other does: those that wait for a removed file would not see
    each other.
    """
    out = expanded(out).absolute()
    return FileLock(out.parent / f".{out.name}.finishing")


@contextmanager
def _held(out: Path, name: str) -> Iterator[None]:
    try:
        with _removed(FileLock(out.parent / name, timeout=0)):
            yield
    except Timeout as error:
        raise ConfigError(f"{out}: another run is preparing this store; wait for it or choose another OUT") from error


@contextmanager
def _removed(lock: BaseFileLock) -> Iterator[None]:
    """Hold a lock and leave no file of it behind."""
    with lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
