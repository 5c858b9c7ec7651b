"""Reading files of others: clear errors over damaged ones, and paths that stay inside the dataset."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eeg2speech.data.downloads import check_downloaded
from eeg2speech.errors import DataError, Eeg2SpeechError

logger = logging.getLogger(__name__)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn whatever a library raises over a damaged file into one line that names the file.

    Warnings of the library are logged with the file's name instead of being shown with a line of its source.

    Raises:
        DataError: The file could not be read.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except Eeg2SpeechError:
        check_downloaded(file)  # a pointer to the content is no table either
        raise
    except MemoryError:
        raise
    except OSError as error:
        raise DataError(_unreadable(file, error)) from error
    # parsers of others raise anything on damaged files: AssertionError, AttributeError, UnboundLocalError, ...
    except Exception as error:
        check_downloaded(file)
        raise DataError(f"{file}: cut short or damaged ({one_line(error)}); download it again") from error
    for text in dict.fromkeys(one_line(warning.message) for warning in caught):
        logger.info("%s: %s", file, text)


def _unreadable(file: Path, error: OSError) -> str:
    """Why a file, or one beside it that it needs, cannot be read."""
    named = Path(error.filename) if isinstance(error.filename, str) else file
    other = named if named.parent == file.parent and named != file else None
    for needed in (other or file, file):
        check_downloaded(needed)
    why = error.strerror or one_line(error)
    if other is None:
        return f"{file}: cannot be read ({why}); download it again"
    return f"{other}: cannot be read ({why}), and {file.name} needs it; download it again"


def one_line(error: object) -> str:
    """The first line of a message, or the error's name where it has none."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def inside(root: Path, path: str | Path, named_in: str | Path) -> Path:
    """A path that a file of the dataset names, which must not lead out of the dataset.

    Links that the dataset's own folder contains (datalad, git-annex) may point anywhere; only what the path itself
    says counts.

    Args:
        root: Folder of the dataset.
        path: Relative to ``root``, with slashes or backslashes.
        named_in: File that names it, for the error message.

    Raises:
        DataError: It is absolute or leads out of ``root``.
    """
    parts = str(path).replace("\\", "/").split("/")
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            break
    if depth < 0 or str(path).startswith(("/", "\\", "~")) or ":" in parts[0] or "\0" in str(path):
        raise DataError(f"{named_in}: {str(path)!r} leads out of {root}; correct it")
    return root.joinpath(*parts)
