"""Warnings about recordings, collected in the processes that read them and shown once for each kind."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_VALUES = re.compile(r"\([^()]*\)|'[^']*'|[-+]?\d[\d.,]*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Notice:
    """A warning about a recording or a file.

    Attributes:
        kind: Equal for all warnings that differ only in file and numbers.
        text: One line that names the file.
    """

    kind: str
    text: str


@contextmanager
def collected_notices() -> Iterator[list[Notice]]:
    """Collect the warnings that this package logs, instead of printing each where it occurs.

    A warning is logged as ``logger.warning("%s: ...", file, ...)``; the text without values is its kind.

    Yields:
        The list that the warnings are added to.
    """
    notices: list[Notice] = []
    handler = _Collector(notices)
    logger = logging.getLogger("eeg2speech")
    logger.addHandler(handler)  # logging prints only records without a handler
    try:
        yield notices
    finally:
        logger.removeHandler(handler)


class _Collector(logging.Handler):
    def __init__(self, notices: list[Notice]) -> None:
        super().__init__(logging.WARNING)
        self._notices = notices

    def emit(self, record: logging.LogRecord) -> None:
        self._notices.append(Notice(str(record.msg), record.getMessage()))


def one_line_per_kind(notices: Iterable[Notice]) -> list[str]:
    """The first warning of each kind, with the number of others of that kind."""
    kinds: dict[str, dict[str, None]] = {}
    for notice in notices:
        kinds.setdefault(notice.kind, {})[notice.text] = None
    lines = []
    for texts in kinds.values():
        first, more = next(iter(texts)), len(texts) - 1
        lines.append(f"{first} (and {more} more of this kind)" if more else first)
    return lines


def kind_of(text: str) -> str:
    """A line without its values: the name before the first colon, numbers, and text in brackets or quotes."""
    return _VALUES.sub("#", text.partition(": ")[2] or text)
