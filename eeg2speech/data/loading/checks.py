"""Checks before training: arguments of the data module, and data that nothing can be learned from."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Batch, Condition, Segment, SplitName
from eeg2speech.data.store.store import Store

SILENT = 1e-4
"""Largest absolute sample of a silent sound, where 1 is full scale."""


def check_store(store: object) -> Path | None:
    """Convert the argument ``store`` to a path; None means the embedded dataset.

    Raises:
        ConfigError: It is not a path.
    """
    if store is None or isinstance(store, str | os.PathLike):
        return None if store is None else Path(store)
    raise ConfigError(f"store={store!r} must be the path of a prepared store, or None (data.store)")


def check_kind(key: str, value: object, kind: type) -> None:
    """Raise ``ConfigError`` unless an argument is an instance of a class."""
    if not isinstance(value, kind):
        raise ConfigError(f"{key}={value!r} must be a {kind.__name__} (data.{key})")


def check_number(key: str, value: object, above: float, infinite: bool = False) -> None:
    """Raise ``ConfigError`` unless an argument is a number above a limit, and finite unless ``infinite``."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not (above < value < np.inf or (infinite and value == np.inf)):  # type: ignore[operator]
        what = f"above {above:g}" if np.isfinite(above) else "a finite number"
        raise ConfigError(f"{key}={value} must be {what} (data.{key})")


def check_whole(key: str, value: object, least: int | None = None) -> None:
    """Raise ``ConfigError`` unless an argument is a whole number, at least ``least``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):  # type: ignore[operator]
        what = "a whole number" if least is None else f"a whole number of {least} or more"
        raise ConfigError(f"{key}={value} must be {what} (data.{key})")


def check_choice(key: str, value: object, choices: Sequence[str]) -> None:
    """Raise ``ConfigError`` unless an argument is one of some words."""
    if value not in choices:
        raise ConfigError(f"{key}={value!r} is none of {', '.join(choices)} (data.{key})")


def check_conditions(conditions: Any) -> None:
    """Raise ``ConfigError`` unless an argument is None or a list of conditions."""
    if conditions is None:
        return
    if isinstance(conditions, str) or not isinstance(conditions, Sequence):
        raise ConfigError(f"conditions={conditions!r} must be a list, such as [listening] (data.conditions)")
    for condition in conditions:
        check_choice("conditions", condition, get_args(Condition))


def stimuli_with_sound(store: Store, segments: Sequence[Segment]) -> set[str]:
    """Stimuli of segments whose sound is in the store.

    Args:
        store: Prepared store.
        segments: Segments of the conditions that are used.

    Raises:
        DataError: No stimulus has a sound, or one lacks it although others of the same recording have theirs.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for segment in segments:
        named[segment.recording].add(segment.stimulus)
    stimuli = set().union(*named.values()) - {""}
    there = {stimulus for stimulus in stimuli if store.audio_file(stimulus).is_file()}
    published = {stimulus for stimulus in stimuli - there if store.envelope(stimulus) is not None}
    if not there:
        text = "only envelopes" if published else "no sound"
        raise DataError(
            f"{store.root}: {text} for any of its {len(segments)} segments; stage 1 can use it, the other stages need "
            "sounds (data.audio)"
        )
    # a subject whose sounds were never published lacks all of them
    lost = {s for own in named.values() if own & there for s in own - there - published - {""}}
    if lost:
        more = f", and {len(lost) - 1} more sounds" if len(lost) > 1 else ""
        raise DataError(
            f"{store.audio_file(min(lost))}: missing{more}; leave its segments out (data.conditions) or prepare the "
            "store from a folder that has this sound"
        )
    return there


def keep_sounds(splits: Mapping[SplitName, list[Segment]], stimuli: set[str]) -> dict[SplitName, list[Segment]]:
    """Remove segments without a sound, and print how many.

    Args:
        splits: Segments by split, including those without a sound, so that all stages split alike.
        stimuli: Stimuli with a sound.

    Raises:
        ConfigError: A split would be empty.
    """
    kept = {split: [s for s in segments if s.stimulus in stimuli] for split, segments in splits.items()}
    for split, segments in splits.items():
        if segments and not kept[split]:
            raise ConfigError(f"none of the {len(segments)} segments of {split} has a sound; change data.split")
    total, left = (sum(map(len, found.values())) for found in (splits, kept))
    if left < total:
        rank_zero_info(f"{total - left} of {total} segments have no sound and are left out")
    return kept


def check_content(batches: Iterable[Batch], audio: bool) -> None:
    """Check that some windows hold EEG, and sound if it is used.

    Args:
        batches: Some training windows.
        audio: Whether sound is used.

    Raises:
        DataError: All of them are constant or silent.
    """
    windows, eeg, sound = 0, False, not audio
    for batch in batches:
        windows += len(batch["eeg"])
        eeg = eeg or bool((batch["eeg"] != 0).any())
        sound = sound or bool((batch["audio"].abs() >= SILENT).any())
    if not eeg:
        raise DataError(f"the EEG of {windows} training windows is constant in every channel; see `eeg2speech doctor`")
    if not sound:
        raise DataError(f"the sound of {windows} training windows is silent; see `eeg2speech doctor`")
