"""Config files that are none, told with their names before a parser meets them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eeg2speech.errors import ConfigError


def check_configs(argv: Sequence[str]) -> None:
    """See that the config files of a command line can be read as settings. A missing one is the parser's to name.

    Args:
        argv: Words of the command line.

    Raises:
        ConfigError: A file is no YAML, or holds something else than settings.
    """
    for file in map(Path, named_configs(argv)):
        if not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as error:
            place = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
            raise ConfigError(f"{file}: no YAML, {place}: {error.problem}; correct it (--config)") from error
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{file}: cannot be read as YAML ({error}); give a config file (--config)") from error
        if isinstance(content, dict) and "factors" in content:
            raise ConfigError(f"{file}: the plan of a sweep, not a config; run `eeg2speech sweep {file} OUT`")
        if not isinstance(content, dict):
            raise ConfigError(f"{file}: holds no settings; give lines such as `data:` and `model:` (--config)")


def named_configs(argv: Sequence[str]) -> Iterator[str]:
    """Names of the config files of a command line."""
    for word, after in zip(argv, [*argv, ""][1:], strict=True):
        if word in ("--config", "-c"):
            yield after
        elif word.startswith("--config="):
            yield word.partition("=")[2]


def content_hash(files: Sequence[Path]) -> str:
    """Hash of the content of config files and of the parts that they name."""
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
