"""Config files by path or by name, and checks that they can be read before anything is parsed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eeg2speech.core.errors import ConfigError

PACKAGE = Path(__file__).parents[1]
FOLDER = "configs"
"""Folder of the configurations: inside an installed package, beside it in a repository; also a prefix of names."""
BY_NAME = ("--config", "-c", "--trainer", "--alignment")
"""Options whose config files need no suffix."""
_SETTINGS = ("--data", "--model", "--trainer")
_SUFFIXES = (".yaml", ".yml")


def config_folder() -> Path:
    """The folder of the configurations that come with the package."""
    installed = PACKAGE / FOLDER
    return installed if installed.is_dir() else PACKAGE.parent / FOLDER


def config_names() -> list[str]:
    """Names of the configurations that come with the package, e.g. ``maeeg`` and ``alignment/loa``."""
    folder = config_folder()
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))


def find_config(name: str) -> Path | None:
    """Find a config file by its path, or by its name, with or without ``configs/`` before and ``.yaml`` behind it.

    A file in the current folder comes before one of its folder ``configs``, and that before one of the package.

    Args:
        name: E.g. ``mine.yaml``, ``configs/maeeg.yaml``, ``maeeg`` or ``alignment/loa``.

    Returns:
        None if there is no such file.
    """
    given = Path(name)
    short = given.relative_to(FOLDER) if given.parts[:1] == (FOLDER,) else given
    for path in (given, Path(FOLDER) / short, config_folder() / short):
        for file in (path, path.with_name(f"{path.name}.yaml")) if path.name else ():
            if os.path.isfile(file):  # noqa: PTH113  (a long text of settings in YAML is not an error)
                return file
    return None


def find_configs(argv: Sequence[str]) -> list[str]:
    """Words of a command line with the path of each config file that is given by name.

    The parser reports a missing file of ``--config``.

    Raises:
        ConfigError: Another option names a file that does not exist.
    """
    words, option = [], ""
    for word in argv:
        if not word.startswith("-"):
            words.append(_found(option, word))
            continue
        option, equals, value = word.partition("=")
        words.append(f"{option}={_found(option, value)}" if equals else word)
    return words


def check_configs(argv: Sequence[str]) -> None:
    """Check that the config files of a command line hold settings. The parser reports a missing one.

    Raises:
        ConfigError: A file is not YAML, or holds something else than settings.
    """
    for file in map(Path, named_configs(argv)):
        if not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as error:
            place = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
            raise ConfigError(f"{file}: not YAML, {place}: {error.problem}; correct it (--config)") from error
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{file}: cannot be read as YAML ({error}); give a config file (--config)") from error
        if isinstance(content, dict) and "factors" in content:
            raise ConfigError(f"{file}: a sweep, not the config of a stage; run `eeg2speech sweep {file} OUT`")
        if not isinstance(content, dict):
            raise ConfigError(f"{file}: holds no settings; write keys such as `data:` and `model:` (--config)")


def _found(option: str, value: str) -> str:
    named = value.endswith(_SUFFIXES)
    if not named and option not in BY_NAME:
        return value
    file = find_config(value)
    if file is None and named and option.startswith(_SETTINGS) and not Path(value).exists():
        raise ConfigError(
            f"{value}: no such config file ({option}); `eeg2speech --configs` prints the package's folder"
        )
    return value if file is None else str(file)


def named_configs(argv: Sequence[str]) -> Iterator[str]:
    """Names of the config files of a command line."""
    for word, after in zip(argv, [*argv, ""][1:], strict=True):
        if word in ("--config", "-c"):
            yield after
        elif word.startswith("--config="):
            yield word.partition("=")[2]


def content_hash(files: Sequence[Path]) -> str:
    """Hash of the content of config files and of the parts that they refer to."""
    pending, seen, digest = list(files), set[Path](), hashlib.sha256()
    while pending:
        file = pending.pop(0)
        if file in seen:
            continue
        seen.add(file)
        content = file.read_bytes()
        digest.update(content)
        pending += [part for text in _texts(yaml.safe_load(content)) if (part := file.parent / text).is_file()]
    return digest.hexdigest()


def _texts(value: Any) -> Iterator[str]:
    """Names of YAML files in settings."""
    if isinstance(value, str) and value.endswith((".yaml", ".yml")):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _texts(one)
