"""How far a long run is, on a terminal and in the log of a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 60.0
"""Seconds between two lines of a log."""
T = TypeVar("T")


class Track(Protocol):
    """Gives what it is given, and shows how far that is."""

    def __call__(self, items: Sequence[T], /) -> Iterable[T]:
        """One after another."""


def silently(items: Sequence[T], /) -> Iterable[T]:
    """A ``Track`` that shows nothing."""
    return items


Counted = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""From a label and a total to a context, which gives a function that is called with how many more are done."""


@contextmanager
def uncounted(label: str, total: int) -> Iterator[Callable[[int], object]]:
    """A ``Counted`` that shows nothing."""
    yield lambda count: None


def track_with(counted: Counted, label: str) -> Track:
    """A ``Track`` that shows its progress as ``counted`` does."""

    def track(items: Sequence[T], /) -> Iterable[T]:
        with counted(label, len(items)) as done:
            for item in items:
                yield item
                done(1)

    return track


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Say on a terminal what is being waited for, where it cannot be told how long."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(label):
        yield


class Countdown:
    """A bar with the time left where standard error is a terminal, else a line a minute.

    Args:
        label: Stands before the bar.
        total: How much there is to do.
        hidden: Say nothing, as on all but the first of several processes.
    """

    def __init__(self, label: str, total: int, hidden: bool = False) -> None:
        self.label, self.total, self.done = label, total, 0
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("left"),
        )  # fmt: skip
        self._hidden = hidden
        self._bar = Progress(
            *columns, console=console, transient=True, disable=hidden or not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),  # else what is printed meanwhile would miss the file it is meant for
        )  # fmt: skip
        self._task = self._bar.add_task(label, total=total)
        self._started = self._told = time.monotonic()

    def __enter__(self) -> Countdown:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, failed: int = 0, count: int = 1) -> None:
        """So many more are done; ``failed`` of all of them failed."""
        self.done += count
        text = f"{self.label} ({failed} failed)" if failed else self.label
        self._bar.update(self._task, advance=count, description=text)
        now = time.monotonic()
        if self._bar.disable and not self._hidden and 0 < self.done < self.total and now - self._told >= EVERY:
            self._told = now
            left = (now - self._started) / self.done * (self.total - self.done)
            line = f"{text}: {self.done} of {self.total}, about {in_words(left)} left"
            print(line, file=sys.stderr, flush=True)


def in_words(seconds: float) -> str:
    """A time as one would say it, e.g. ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
