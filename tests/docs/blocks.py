"""Fenced blocks of the README and of the pages, and the command lines in them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/pages").glob("*.md"))]
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w-]+\.(?:yaml|py|sbatch))\b")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Where it stands.
        line: Of its first line of text, from 1.
        language: As the fence says it.
        text: Without the fence.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block is, if its first line says so: ``# mine.yaml``."""
        found = _NAMED.match(self.text)
        return found[1] if found else None


@dataclass(frozen=True)
class Command:
    """A command line, with the lines that continue it."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(language: str | None = None) -> list[Block]:
    """All blocks of all pages, or those of one language."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            line = text[: match.start(3)].count("\n") + 1
            indent = len(match[1])
            inner = "".join(row[indent:] or "\n" for row in match[3].splitlines(keepends=True))
            found.append(Block(page, line, match[2], inner))
    return [block for block in found if language in (None, block.language)]


def commands() -> list[Command]:
    """Every command line of every ``sh`` block; lines of nothing but a comment are none."""
    return [command for block in blocks("sh") for command in _commands(block)]


def _commands(block: Block) -> Iterator[Command]:
    begun, start = "", 0
    for number, row in enumerate(block.text.splitlines()):
        if not begun:
            start = number
        begun += row
        if begun.endswith("\\"):
            begun = begun[:-1]
        elif begun.strip() and not begun.lstrip().startswith("#"):
            yield Command(block.page, block.line + start, begun)
            begun = ""
        else:
            begun = ""


def write_files(page: Path, folder: Path) -> None:
    """Write the files that the blocks of a page are, e.g. an overlay that its commands name."""
    for block in blocks():
        if block.page == page and block.file:
            target = folder / block.file
            assert not target.exists(), f"{page.name} has two files {block.file}"
            target.write_text(block.text)


def made_of(words: list[str]) -> list[str]:
    """Lines that ``make`` would run for some words, whatever the ``make`` that runs the tests was given."""
    given = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS")
    own = {name: value for name, value in os.environ.items() if name not in given}
    done = subprocess.run(["make", "-n", "-C", str(ROOT), *words], env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def words_of(line: str) -> list[str]:
    """Split as a shell would; pipes and the like are words of their own, which no kind takes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.commenters, lexer.whitespace_split = "#", True
    return list(lexer)
