from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_bar() -> Progress:
    """A bar with counts and the time left, on standard error and only where that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("windows,"),
        TimeRemainingColumn(), TextColumn("left"),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
