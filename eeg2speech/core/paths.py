"""Paths from users."""

from __future__ import annotations

from pathlib import Path

from eeg2speech.core.errors import ConfigError


def expanded(path: Path | str) -> Path:
    """A path with the home folder instead of ``~`` or ``~user``.

    Raises:
        ConfigError: There is no such user, or the home folder is unknown.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{path}: the home folder is not known; give the path in full, or ./{path} if that is its name"
        ) from error
