"""Folders for files that can be made or downloaded again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.paths import expanded


def cache_folder() -> Path:
    """The folder ``$EEG2SPEECH_CACHE``, by default ``eeg2speech`` in the system's cache; created if needed.

    Raises:
        ConfigError: The folder cannot be created, or the home folder is unknown.
    """
    chosen = os.environ.get("EEG2SPEECH_CACHE")
    try:
        # for an unknown user without HOME, platformdirs fails, or returns a path that begins with ~ (older versions)
        cache = expanded(chosen or user_cache_path("eeg2speech"))
    except (RuntimeError, ConfigError):
        named = f"EEG2SPEECH_CACHE={chosen}: the" if chosen else "no folder for the cache, as the"
        text = f"{named} home folder is not known; set EEG2SPEECH_CACHE to a folder you can write"
        raise ConfigError(text) from None
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{cache}: cannot be made ({error.strerror}); set EEG2SPEECH_CACHE to a folder you can write"
        ) from error
    return cache


def check_hub_cache() -> None:
    """Check that downloads from the Hugging Face hub have a folder: without a home folder, they would go to ``./~``.

    Raises:
        ConfigError: There is no folder for them.
    """
    from huggingface_hub import constants

    if str(constants.HF_HUB_CACHE).startswith("~"):
        raise ConfigError(
            "no folder for downloads, as the home folder is not known; set HF_HOME to a folder you can write"
        )
