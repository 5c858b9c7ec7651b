"""Consoles for tables."""

from __future__ import annotations

from typing import IO

from rich.console import Console

WIDE = 400
"""Width in columns without a terminal: tables in pipes and logs are not cut."""


def table_console(file: IO[str] | None = None) -> Console:
    """A console with the width of its terminal, or ``WIDE`` columns without one.

    Args:
        file: Where it prints; unset: standard output.
    """
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    return console
