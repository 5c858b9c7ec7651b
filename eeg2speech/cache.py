"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from eeg2speech.errors import ConfigError


def cache_folder() -> Path:
    """The folder ``$EEG2SPEECH_CACHE``, or else the project's in the system's cache; made if it is not there.

    Raises:
        ConfigError: It cannot be made.
    """
    chosen = os.environ.get("EEG2SPEECH_CACHE")
    cache = Path(chosen).expanduser() if chosen else user_cache_path("eeg2speech")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{cache}: cannot be made ({error.strerror}); set EEG2SPEECH_CACHE to a folder you can write"
        ) from error
    return cache
