"""Where tables are printed."""

from __future__ import annotations

from typing import IO

from rich.console import Console

WIDE = 400
"""Columns where there is no terminal: a table in a pipe or a log is never cut to fit a screen."""


def table_console(file: IO[str] | None = None) -> Console:
    """A console as wide as its terminal, and wide enough for every table where it has none.

    Args:
        file: Standard output if not given.
    """
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    return console
