"""Text on machines whose encoding is not UTF-8: what is printed never fails, files are UTF-8 all the same."""

from __future__ import annotations

import codecs
import contextlib
import io
import locale
import sys

ASCII = dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)) | {"µ": "u", "²": "^2", "…": "...", "━": "-"}
"""What is printed in place of a sign; bars become their height from 1 to 8."""
ERRORS = "eeg2speech.readable"


def readable_streams() -> None:
    r"""Make both streams replace what their encoding lacks, so that printing never fails.

    Letters and the bytes of file names that are not UTF-8 become escapes such as ``\xe9``, which say what they were.
    """
    codecs.register_error(ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None without a console, another class where a program calls
            stream.reconfigure(errors=ERRORS)


def utf8_files() -> None:
    """Have files read and written as UTF-8 where a library names no encoding, as for configs."""
    for name in ("C.UTF-8", "en_US.UTF-8", "UTF-8"):
        if locale.getencoding().lower() == "utf-8":
            return
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    signs = (ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode("ascii") for sign in lacking)
    return "".join(signs), error.end
