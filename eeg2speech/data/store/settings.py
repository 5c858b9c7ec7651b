"""Whether a store was prepared from the dataset and with the settings that are asked for."""

from __future__ import annotations

import json
from pathlib import Path

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.store.store import Description, read_description

LATER = ("reader.pattern",)
"""Settings that stores of earlier versions do not have; what they change is found by comparing the recordings."""


def check_settings(root: Path, description: Description) -> Description:
    """Refuse to add to a store of another dataset or with other settings.

    Args:
        root: The store.
        description: What is to be added.

    Returns:
        The store's own description.

    Raises:
        ConfigError: It is no store, holds another dataset, or differs in a setting, which is named.
    """
    try:
        before = read_description(root)
    except DataError as error:
        raise ConfigError(f"{root}: exists and is not a prepared store; choose another OUT") from error
    if before.name != description.name:
        raise ConfigError(f"{root}: holds {before.name}; choose another OUT for {description.name}")
    new = json.loads(json.dumps(description.settings))
    old = {key: new[key] for key in LATER if key in new} | before.settings
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if changed:
        key = changed[0]
        raise ConfigError(
            f"{root}: was prepared with {key}={old.get(key)!r}, asked for {new.get(key)!r}; "
            "choose another OUT or remove that folder"
        )
    return before
