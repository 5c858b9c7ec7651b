"""Standard output and error: text that any encoding can show, and JSON for programs."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import locale
import sys
from collections.abc import Iterator
from typing import Any

from eeg2speech.core.files import to_jsonable

ASCII = dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)) | {"µ": "u", "²": "^2", "…": "...", "━": "-"}
"""Replacements for signs that an encoding lacks; bars become their height from 1 to 8."""
ERRORS = "eeg2speech.readable"


def readable_streams() -> None:
    r"""Make both streams replace what their encoding lacks, so that printing never fails.

    Letters and the bytes of file names that are not UTF-8 become escapes such as ``\xe9``.
    """
    codecs.register_error(ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None without a console, another class inside other programs
            stream.reconfigure(errors=ERRORS)


def utf8_files() -> None:
    """Make UTF-8 the encoding of files for libraries that name no encoding, e.g. when they read configs."""
    for name in ("C.UTF-8", "en_US.UTF-8", "UTF-8"):
        if locale.getencoding().lower() == "utf-8":
            return
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)


@contextlib.contextmanager
def json_stdout(json: bool) -> Iterator[None]:
    """Send printed text to standard error if standard output is for JSON alone."""
    with contextlib.redirect_stdout(sys.stderr) if json else contextlib.nullcontext():
        yield


def print_json(content: Any) -> None:
    """Print a value as JSON: paths as text, NaN and infinity as null.

    Programs read JSON as UTF-8; on another encoding, letters beyond ASCII are escaped.
    """
    unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(json.dumps(to_jsonable(content), indent=2, ensure_ascii=not unicode, allow_nan=False))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    signs = (ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode("ascii") for sign in lacking)
    return "".join(signs), error.end
