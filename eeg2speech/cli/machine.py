"""Results for a program to read: one JSON value on standard output, and nothing else there."""

from __future__ import annotations

import codecs
import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from eeg2speech.core.files import to_jsonable


@contextlib.contextmanager
def json_stdout(json: bool) -> Iterator[None]:
    """Send what is printed to standard error if standard output is for JSON alone."""
    with contextlib.redirect_stdout(sys.stderr) if json else contextlib.nullcontext():
        yield


def print_json(content: Any) -> None:
    """Print a value as JSON: paths as text, what is not finite as null, which JSON has no other word for.

    Programs read JSON as UTF-8: where standard output has another encoding, other letters than those of ASCII are
    escaped.
    """
    unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(json.dumps(to_jsonable(content), indent=2, ensure_ascii=not unicode, allow_nan=False))
