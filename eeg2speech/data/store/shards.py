"""Several runs on one store: each prepares its share of the recordings, and the last one finishes the store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryFile

from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.core.locks import HeldError, locked
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Source


@dataclass(frozen=True)
class Shard:
    """One of several runs that share the recordings of a dataset.

    Attributes:
        number: From 1 to ``count``.
        count: Number of runs.
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
    """Exclude other runs of the same shard, and runs of the whole dataset, from a store.

    Raises:
        ConfigError: Such a run is in progress.
        DiskError: The folder cannot be written.
    """
    out = expanded(out).absolute()
    base = f".{out.name}.preparing"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):  # a lock in a read-only folder would look like one that is held
            pass
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror}); choose another OUT") from error
    with ExitStack() as stack:
        if shard != WHOLE:
            stack.enter_context(_held(out, f"{base}-{shard.number}of{shard.count}"))
        stack.enter_context(_held(out, base, shared=shard != WHOLE))
        yield


def finishing(out: Path) -> AbstractContextManager[None]:
    """Lock of the run that writes the tables of a store; other runs wait for it."""
    out = expanded(out).absolute()
    return locked(out.parent / f".{out.name}.finishing", "prepare", patience=inf)


@contextmanager
def _held(out: Path, name: str, shared: bool = False) -> Iterator[None]:
    try:
        # the last shard locks the file exclusively for a moment, in order to remove it
        with locked(out.parent / name, "prepare", shared, patience=1.0 if shared else 0.0):
            yield
    except HeldError as held:
        raise ConfigError(
            f"{out}: another run is preparing this store ({held}); wait for it or choose another OUT"
        ) from held
