"""What a sweep runs, read from its YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eeg2speech.core.config_files import find_config
from eeg2speech.core.errors import ConfigError

WHAT_IS_HEARD = ("--data.store=", "--data.simulation", "--data.split", "--data.conditions=")
"""Options of a condition that its prepared stages are given, too: else they would learn from what it is tested on."""
Levels = dict[str, str]
"""Level of each factor."""


@dataclass(frozen=True)
class Plan:
    """A full crossing of factors.

    Attributes:
        config: Config files of the stage that is swept.
        prepare: Config files of the stages that are fitted before it, by name; ``{name}`` in an option stands for the
            run folder.
        options: Command-line options of every condition.
        factors: Options of every level of every factor.
        over: Factor whose levels are replicates, as seeds are by default: intervals are over them.
    """

    config: list[Path]
    prepare: dict[str, list[Path]] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    factors: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    over: str | None = None

    def conditions(self) -> Iterator[Levels]:
        """Every combination of levels."""
        for levels in itertools.product(*self.factors.values()):
            yield dict(zip(self.factors, levels, strict=True))

    def options_of(self, levels: Levels) -> list[str]:
        """Options of a condition; of two for the same key the later counts."""
        return [*self.options, *(option for name, level in levels.items() for option in self.factors[name][level])]

    def prepared_for(self, levels: Levels) -> Levels:
        """The factors that its prepared stages depend on."""
        return {name: level for name, level in levels.items() if what_is_heard(self.factors[name][level])}


def what_is_heard(options: Sequence[str]) -> list[str]:
    """Those of the options that say which people hear what, and what of it is held out."""
    return [option for option in options if option.startswith(WHAT_IS_HEARD)]


def folder_name(levels: Levels) -> str:
    """Folder of a condition, e.g. ``pretrained-all-tuned``."""
    return "-".join(levels.values()) or "all"


def read_plan(file: Path) -> Plan:
    """Read a sweep.

    Args:
        file: Its path, or the name of one that comes with the package. Config files that it names are looked for beside
            it, then as those of a command line.

    Raises:
        ConfigError: The file is missing, no YAML, or does not say what a sweep needs.
    """
    file = find_config(str(file)) or file
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give the YAML file of a sweep") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: no YAML ({error})") from error
    known = set(Plan.__dataclass_fields__)
    if not isinstance(content, dict) or not set(content) <= known or "config" not in content:
        raise ConfigError(f"{file}: a sweep holds config and may hold {', '.join(sorted(known - {'config'}))}")
    prepare = _mapping(content, "prepare", file)
    factors = {
        name: {str(level): _options(listed, file, f"factors.{name}.{level}") for level, listed in levels.items()}
        for name, levels in ((name, _mapping(found, name, file)) for name, found in _named(content, file))
    }
    over = content.get("over")
    if over is not None and over not in factors:
        raise ConfigError(f"{file}: over={over} is none of the factors {', '.join(factors) or '(none)'}")
    names = [name for levels in factors.values() for name in levels]
    odd = next((name for name in [*names, *prepare] if not name or set(name) & set("/\\:-{}") or name[0] == "."), None)
    if odd is not None:
        raise ConfigError(f"{file}: {odd!r} becomes part of a folder's name; use letters, digits, '_' and '+'")
    return Plan(
        _files(content["config"], file, "config"),
        {name: _files(listed, file, f"prepare.{name}") for name, listed in prepare.items()},
        _options(content.get("options"), file, "options"),
        factors,
        over,
    )


def _named(content: Mapping[str, Any], file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, levels in _mapping(content, "factors", file).items():
        if not isinstance(levels, dict) or not levels:
            raise ConfigError(f"{file}: factors.{name} is to name its levels, each with its options")
        yield name, {name: levels}


def _mapping(content: Mapping[str, Any], key: str, file: Path) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: {key}={found!r} is to be a mapping")
    return {str(name): value for name, value in found.items()}


def _files(listed: Any, file: Path, key: str) -> list[Path]:
    names = [listed] if isinstance(listed, str) else listed
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{file}: {key}={listed!r} is to name config files")
    beside = [file.parent / name for name in names]
    files = [find_config(str(path)) or find_config(name) for path, name in zip(beside, names, strict=True)]
    for path, found in zip(beside, files, strict=True):
        if found is None:
            raise ConfigError(f"{path.resolve()}: no such file ({key} in {file}, relative to it)")
    return [found.resolve() for found in files if found]


def _options(listed: Any, file: Path, key: str) -> list[str]:
    options = listed or []
    if not isinstance(options, list) or not all(
        isinstance(o, str) and o.startswith("--") and "=" in o for o in options
    ):
        raise ConfigError(f"{file}: {key}={listed!r} is to be a list of options such as --data.train_fraction=0.1")
    return options
