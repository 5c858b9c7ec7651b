"""How far a long run is, on a terminal and in the log of a cluster."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 60.0
"""Seconds between two lines of a log."""


class Countdown:
    """A bar with the time left where standard error is a terminal, else a line a minute.

    Args:
        label: Stands before the bar.
        total: Recordings to do.
    """

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done = label, total, 0
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(label, total=total)
        self._started = self._told = time.monotonic()

    def __enter__(self) -> Countdown:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, failed: int) -> None:
        """One more is done; ``failed`` of them failed."""
        self.done += 1
        text = f"{self.label} ({failed} failed)" if failed else self.label
        self._bar.update(self._task, advance=1, description=text)
        now = time.monotonic()
        if self._bar.disable and self.done < self.total and now - self._told >= EVERY:
            self._told = now
            left = (now - self._started) / self.done * (self.total - self.done)
            print(f"{text}: {self.done} of {self.total}, about {left / 60:.0f} min left", file=sys.stderr, flush=True)
