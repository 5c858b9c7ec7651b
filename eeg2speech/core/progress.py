"""Progress of long work: a bar with the time left on a terminal, else a line a minute for the log of a cluster."""

from __future__ import annotations

import math
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
    """Iterates over a sequence and shows the progress."""

    def __call__(self, items: Sequence[T], /) -> Iterable[T]:
        """Yield the items in their order."""


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
    """Show a label on a terminal during work of unknown length."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(label):
        yield


class Pace:
    """Estimates the time left, and limits the lines of a log to one a minute.

    Args:
        first: How much was done before the clock started.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self._started = self._printed = time.monotonic()

    def left(self, done: int, total: float) -> str:
        """The time left in words; empty where it cannot be estimated."""
        if done <= self.first or not math.isfinite(total):
            return ""
        return in_words((time.monotonic() - self._started) / (done - self.first) * max(total - done, 0))

    def due(self) -> bool:
        """Whether the next line is due; if so, the minute starts again."""
        now = time.monotonic()
        if now - self._printed < EVERY:
            return False
        self._printed = now
        return True


class Countdown:
    """A progress bar with the time left where standard error is a terminal, else a line a minute.

    Args:
        label: Text before the bar.
        total: Number of items.
        hidden: Show nothing, as on all but the first of several processes.
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
            redirect_stdout=sys.stdout.isatty(),  # else what is printed meanwhile would not reach a redirected file
        )  # fmt: skip
        self._task = self._bar.add_task(label, total=total)
        self._pace = Pace()

    def __enter__(self) -> Countdown:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, failed: int = 0, count: int = 1) -> None:
        """Count ``count`` more items as done; ``failed`` is the number of failures so far."""
        self.done += count
        text = f"{self.label} ({failed} failed)" if failed else self.label
        self._bar.update(self._task, advance=count, description=text)
        if self._bar.disable and not self._hidden and 0 < self.done < self.total and self._pace.due():
            left = self._pace.left(self.done, self.total)
            print(f"{text}: {self.done} of {self.total}, about {left} left", file=sys.stderr, flush=True)


def in_words(seconds: float) -> str:
    """A duration for people, e.g. ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
