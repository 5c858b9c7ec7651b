"""Reading a run folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eeg2speech.core.errors import DataError
from eeg2speech.metrics.results import RESULTS_FILE, Results, read_results

CONFIG = re.compile(r"config(\.(\d+))?\.yaml")
ENVIRONMENT = re.compile(r"environment(\.(\d+))?\.json")
EVENTS = "events.out.tfevents.*"


@dataclass(frozen=True)
class Run:
    """The files of a run.

    Attributes:
        folder: The run folder.
        configs: Text of every config by file name, that of the training first.
        config: Content of the first config; empty without one.
        environments: Content of every ``environment.json`` by file name, the first start first.
        test: ``test.json``; None before a test.
        events: Event files of TensorBoard.
    """

    folder: Path
    configs: dict[str, str]
    config: dict[str, Any]
    environments: dict[str, dict[str, Any]]
    test: Results | None
    events: list[Path]

    @property
    def task(self) -> str:
        """Class name of the task, such as ``MAEEGTask``; empty without a config."""
        model = self.config.get("model")
        path = model.get("class_path", "") if isinstance(model, dict) else ""
        return str(path).rpartition(".")[2]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the model."""
        return section(section(self.config, "model"), "init_args")

    @property
    def data(self) -> dict[str, Any]:
        """Settings of the data."""
        return section(self.config, "data")


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        DataError: The folder does not exist or is not a run folder, or a file in it is damaged or of another version.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one that `eeg2speech fit` wrote, such as runs/maeeg")
    configs = _numbered(folder, CONFIG)
    environments = _numbered(folder, ENVIRONMENT)
    tested = folder / RESULTS_FILE
    events = sorted(folder.glob(EVENTS), key=lambda file: file.name)
    if not tested.is_file() and not (configs and events):
        raise DataError(f"{folder}: not a run folder: {_lacking(folder)}")
    texts = {file.name: _text(file) for file in configs}
    config = _yaml(configs[0], texts[configs[0].name]) if configs else {}
    return Run(
        folder,
        texts,
        config,
        {file.name: _json(file) for file in environments},
        read_results(tested) if tested.is_file() else None,
        events,
    )


def section(content: dict[str, Any], key: str) -> dict[str, Any]:
    """A mapping inside a mapping; empty if the key is missing or holds something else."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _lacking(folder: Path) -> str:
    """What a folder lacks; often the user names the folder above run folders."""
    within = [child.name for child in sorted(folder.iterdir()) if _looks_like_run(child)]
    if within:
        names = " ".join(str(folder / name) for name in within[:4])
        return f"it contains run folders; name those: eeg2speech report {names}{' ...' if len(within) > 4 else ''}"
    return "neither test.json nor config.yaml with TensorBoard events; name one that `eeg2speech fit` wrote"


def _looks_like_run(folder: Path) -> bool:
    return folder.is_dir() and ((folder / RESULTS_FILE).is_file() or (folder / "config.yaml").is_file())


def _numbered(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    found = [(match, file) for file in folder.iterdir() if (match := pattern.fullmatch(file.name))]
    return [file for _, file in sorted(found, key=lambda pair: int(pair[0][2] or -1))]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); restore it or remove it from the folder") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(file))
    except ValueError as error:
        raise DataError(f"{file}: damaged JSON ({error}); remove it from the folder") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: does not hold a JSON object; remove it from the folder")
    return content


def _yaml(file: Path, text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{file}: damaged YAML ({error}); restore it or remove it from the folder") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: does not hold settings; restore it or remove it from the folder")
    return content
