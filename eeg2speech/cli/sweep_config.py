"""The configuration of a sweep: factors and their levels, read from a YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eeg2speech.cli.renamed import check_renamed
from eeg2speech.core.config_files import find_config
from eeg2speech.core.errors import ConfigError

DATA_OPTIONS = ("--data.store=", "--data.simulation", "--data.split", "--data.conditions=")
"""Options that a condition shares with its earlier stages, so that these are not trained on its test data."""
Levels = dict[str, str]
"""Level of each factor."""


@dataclass(frozen=True)
class SweepConfig:
    """A full crossing of factors.

    Attributes:
        config: Config files of the stage.
        prepare: Config files of the stages that are fitted before it, by name; ``{name}`` in an option is replaced by
            the run folder.
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
        """Options of a condition; of two for the same key, the later one is used."""
        return [*self.options, *(option for name, level in levels.items() for option in self.factors[name][level])]

    def prepared_for(self, levels: Levels) -> Levels:
        """The factors that the earlier stages of a condition depend on."""
        return {name: level for name, level in levels.items() if data_options(self.factors[name][level])}


def data_options(options: Sequence[str]) -> list[str]:
    """The options that select recordings and splits."""
    return [option for option in options if option.startswith(DATA_OPTIONS)]


def folder_name(levels: Levels) -> str:
    """Folder of a condition, e.g. ``pretrained-all-tuned``."""
    return "-".join(levels.values()) or "all"


def read_sweep(file: Path) -> SweepConfig:
    """Read the configuration of a sweep.

    Args:
        file: Its path, or the name of one in the package. Config files that it names are looked for beside it, then as
            those of a command line.

    Raises:
        ConfigError: The file is missing, not YAML, or not the configuration of a sweep.
    """
    file = find_config(str(file)) or file
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give the YAML file of a sweep") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML ({error})") from error
    known = set(SweepConfig.__dataclass_fields__)
    if not isinstance(content, dict) or not set(content) <= known or "config" not in content:
        raise ConfigError(f"{file}: a sweep needs the key config and may have {', '.join(sorted(known - {'config'}))}")
    prepare, factors = _mapping(content.get("prepare"), "prepare", file), {}
    for name, levels in _mapping(content.get("factors"), "factors", file).items():
        if not isinstance(levels, dict) or not levels:
            raise ConfigError(f"{file}: factors.{name} must map the name of each level to its options")
        found = _mapping(levels, f"factors.{name}", file)
        factors[name] = {level: _options(listed, file, f"factors.{name}.{level}") for level, listed in found.items()}
    over = content.get("over")
    if over is not None and over not in factors:
        raise ConfigError(f"{file}: over={over} is none of the factors {', '.join(factors) or '(none)'}")
    for name in [*prepare, *(level for levels in factors.values() for level in levels)]:
        if not name or set(name) & set("/\\:-{}") or name[0] == ".":
            raise ConfigError(f"{file}: {name!r} is used in a folder name; use letters, digits, '_' and '+'")
    return SweepConfig(
        _files(content["config"], file, "config"),
        {name: _files(listed, file, f"prepare.{name}") for name, listed in prepare.items()},
        _options(content.get("options"), file, "options"),
        factors,
        over,
    )


def _mapping(found: Any, key: str, file: Path) -> dict[str, Any]:
    if not isinstance(found or {}, dict):
        raise ConfigError(f"{file}: {key}={found!r} must be a mapping")
    return {str(name): value for name, value in (found or {}).items()}


def _files(listed: Any, file: Path, key: str) -> list[Path]:
    names = [listed] if isinstance(listed, str) else listed
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{file}: {key}={listed!r} must name config files")
    files = []
    for name in names:
        beside = file.parent / name
        found = find_config(str(beside)) or find_config(name)
        if found is None:
            raise ConfigError(f"{beside.resolve()}: no such file ({key} in {file}, relative to it)")
        files.append(found.resolve())
    return files


def _options(listed: Any, file: Path, key: str) -> list[str]:
    options = listed or []
    if not isinstance(options, list) or not all(
        isinstance(o, str) and o.startswith("--") and "=" in o for o in options
    ):
        raise ConfigError(f"{file}: {key}={listed!r} must be a list of options such as --data.train_fraction=0.1")
    try:
        check_renamed("fit", options)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error} ({key})") from error
    return options
