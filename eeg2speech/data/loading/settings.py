"""Arguments of the data module that no command line has checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Condition


def check_store(store: object) -> Path | None:
    """Folder of a store; None for the embedded dataset.

    Raises:
        ConfigError: It is no path.
    """
    if store is None or isinstance(store, str | os.PathLike):
        return None if store is None else Path(store)
    raise ConfigError(f"store={store!r} must be the path of a prepared store, or None (data.store)")


def check_kind(key: str, value: object, kind: type) -> None:
    """Refuse a group of settings that is none.

    Raises:
        ConfigError: It is of another class.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{key}={value!r} must be a {kind.__name__} (data.{key})")


def check_number(key: str, value: object, above: float, infinite: bool = False) -> None:
    """Refuse what is no number above a limit.

    Raises:
        ConfigError: It is none, or not finite.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not (above < value < np.inf or (infinite and value == np.inf)):  # type: ignore[operator]
        what = f"above {above:g}" if np.isfinite(above) else "a finite number"
        raise ConfigError(f"{key}={value} must be {what} (data.{key})")


def check_whole(key: str, value: object, least: int | None = None) -> None:
    """Refuse what is no whole number from a limit on.

    Raises:
        ConfigError: It is none.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):  # type: ignore[operator]
        what = "a whole number" if least is None else f"a whole number of {least} or more"
        raise ConfigError(f"{key}={value} must be {what} (data.{key})")


def check_choice(key: str, value: object, choices: Sequence[str]) -> None:
    """Refuse what is none of some words.

    Raises:
        ConfigError: It is none.
    """
    if value not in choices:
        raise ConfigError(f"{key}={value!r} is none of {', '.join(choices)} (data.{key})")


def check_conditions(conditions: Any) -> None:
    """Refuse conditions that no segment can have.

    Raises:
        ConfigError: They are no list, or one of them is none.
    """
    if conditions is None:
        return
    if isinstance(conditions, str) or not isinstance(conditions, Sequence):
        raise ConfigError(f"conditions={conditions!r} must be a list, such as [listening] (data.conditions)")
    for condition in conditions:
        check_choice("conditions", condition, get_args(Condition))
