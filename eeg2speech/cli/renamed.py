"""Renamed settings: an old option, configuration key or class path is refused with a line that names the new one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eeg2speech.cli import STAGES
from eeg2speech.core.errors import ConfigError

KEYS = {
    "model.control": "concat_channels",
    "model.described": "aligner_config",
    "model.dropped": "cond_dropout",
    "model.encoder_rate": "encoder_lr_scale",
    "model.gamma": "min_snr_gamma",
    "model.regression": "mse_weight",
    "model.rows": "spatial_pooling",
    "model.stranger": "subject_dropout",
    "model.thaw": "encoder_freeze_fraction",
    "data.pairs": "train_fraction",
    "data.story": "hard_negatives",
    "trainer.callbacks.lists": "splits",
}
"""Settings of a stage: the old key without ``init_args``, and the new last part of it."""
OPTIONS = {"plan": {"share": "mfu"}, "generate": {"what": "unit", "parts": "splits"}}
"""Options of tools, by command."""
MODULES = {
    "eeg2speech.callbacks": "eeg2speech.training",
    "eeg2speech.data.datamodule": "eeg2speech.data.loading.datamodule",
}
"""Modules whose classes moved to another one."""
CLASSES = {
    "SoundCheckpoint": "AtomicCheckpoint",
    "TestAlignment": "EvaluateAlignment",
    "TestSpeech": "EvaluateSpeech",
}
"""Classes of these modules that have another name."""
_CONFIGS = ("--config", "-c", "--alignment")


def check_renamed(command: str, words: Sequence[str]) -> None:
    """Refuse old names on a command line, in the config files that it names, and in the parts that these name.

    Args:
        command: Name of the command.
        words: Words after it.

    Raises:
        ConfigError: There is an old name; the message holds the new one.
    """
    stage = KEYS if command in (*STAGES, "plan") else {}
    names = {**stage, **OPTIONS.get(command, {})}
    for word, after in zip(words, [*words, ""][1:], strict=True):
        if not word.startswith("-"):
            continue
        option, equals, value = word.partition("=")
        value = value if equals else after
        if option in _CONFIGS:
            _check(_read(Path(value)), [], value, Path(value).parent, names)
            continue
        content: Any = value
        if value[:1] in ("{", "["):
            with suppress(yaml.YAMLError):  # named by the parser
                content = yaml.safe_load(value)
        _check(content, option.lstrip("-").rstrip("+").split("."), None, Path(), names)


def new_class_path(path: str) -> str | None:
    """The class path that replaced another one; None if this is not an old one."""
    for old, new in MODULES.items():
        if re.fullmatch(rf"{re.escape(old)}(\.\w+)+", path):
            name = path.rpartition(".")[2]
            return f"{new}.{CLASSES.get(name, name)}"
    return None


def _check(value: Any, keys: Sequence[str], file: str | None, folder: Path, names: Mapping[str, str]) -> None:
    """Check a value and all values in it.

    Args:
        value: As YAML holds it.
        keys: Path to it.
        file: Config file that it is in; None for the command line.
        folder: That paths in it are relative to.
        names: New names by old key.
    """
    place, dashes = (f"{file}: ", "") if file else ("", "--")
    if new := names.get(".".join(key.rstrip("+") for key in keys if key != "init_args")):
        raise ConfigError(f"{place}{dashes}{'.'.join(keys)} was renamed; use {dashes}{'.'.join([*keys[:-1], new])}")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(inner, [*keys, str(key)], file, folder, names)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, keys, file, folder, names)
    elif isinstance(value, str):
        if path := new_class_path(value):
            raise ConfigError(f"{place}{value} was renamed; use {path}")
        if value.endswith((".yaml", ".yml")):
            part = folder / value
            _check(_read(part), keys, str(part), part.parent, names)


def _read(file: Path) -> Any:
    """Content of a YAML file; None if it cannot be read, which the parser reports."""
    with suppress(OSError, ValueError, yaml.YAMLError):
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    return None
