"""Plain text for the helps that are written by hand, as wide as the terminal but no wider than can be read."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable

WIDEST = 98


def text_width() -> int:
    """Columns that a help may take."""
    return min(shutil.get_terminal_size().columns - 2, WIDEST)


def paragraph(text: str) -> list[str]:
    """Lines of a text."""
    return textwrap.wrap(" ".join(text.split()), text_width())


def rows(pairs: Iterable[tuple[str, str]], margin: int) -> list[str]:
    """Names with what they mean.

    Args:
        pairs: Name and meaning.
        margin: Column at which meanings begin; a longer name has a line to itself.
    """
    lines = []
    for name, text in pairs:
        filled = textwrap.wrap(text, text_width() - margin)
        if len(name) > margin - 4:
            lines.append(f"  {name}")
        else:
            lines.append(f"  {name:<{margin - 2}}{filled.pop(0)}")
        lines += [" " * margin + line for line in filled]
    return lines


def page(lines: Iterable[str]) -> str:
    """Lines as one text."""
    return "\n".join(lines) + "\n"
