"""Readers of BIDS datasets that are described by a YAML file: metadata, and the rules that assign sounds.

A file in this folder adds a dataset to ``eeg2speech prepare`` under the name of the file. ``eeg2speech prepare`` also
takes the path of a file elsewhere instead of a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import yaml  # type: ignore[import-untyped]

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Source
from eeg2speech.data.readers.base import Reader
from eeg2speech.data.readers.bids import Bids, BidsSelection

FOLDER = Path(__file__).parent
KEYS = ("title", "url", "license", "citation", "about", "options")


@dataclass
class BidsRules(BidsSelection):
    """A BIDS dataset with options and rules of a YAML file.

    Attributes:
        tasks: Tasks; those of the rules if not given.
        sound: False keeps segments and texts without their sounds, for a download without the sound files.
    """

    options: ClassVar[dict[str, Any]]
    """Options of ``Bids`` in the file."""
    file: ClassVar[Path]

    sound: bool = True

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per file, or per run of a split recording."""
        return self.bids().find(root)

    def settings(self) -> dict[str, Any]:
        """Options of the user and of the file."""
        return super().settings() | {"options": self.options}

    def bids(self) -> Bids:
        """Reader with the options of the file and of the user.

        Raises:
            ConfigError: The file has an unknown option or a value that cannot be used.
        """
        from jsonargparse import ArgumentError, ArgumentParser  # slow to import

        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(Bids, "bids")
        try:
            parsed = parser.parse_object({"bids": deepcopy(self.options) | {"root": str(self.root)}})
        except ArgumentError as error:
            raise ConfigError(f"{self.file}: options: {' '.join(str(error).split())}") from error
        reader: Bids = parser.instantiate_classes(parsed).bids
        own = {key: value for f in fields(BidsSelection) if (value := getattr(self, key := f.name)) is not None}
        own["onset"] += reader.onset
        rules = reader.sounds
        if rules is not None and not self.sound:
            # a rule for a whole recording has no duration without its sound
            rules = [replace(rule, sound="", offset=0.0) for rule in rules if rule.event or rule.duration is not None]
        return replace(reader, **own, sounds=rules)


def rules_reader(file: Path) -> type[BidsRules]:
    """Make the reader of the dataset that a YAML file describes.

    The keys of the file are title, url, license, citation, about (the text of ``--help``) and options (those of
    ``eeg2speech prepare bids``, with its rules as ``sounds``). All but ``options`` may be missing.

    Raises:
        ConfigError: The file cannot be read, or has other keys.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read ({' '.join(str(error).split())}); correct the file") from error
    if not isinstance(content, dict) or not isinstance(content.get("options"), dict):
        raise ConfigError(f"{file}: has no options; write a YAML mapping with {', '.join(KEYS)}")
    unknown = sorted(str(key) for key in content.keys() - set(KEYS))
    if unknown:
        raise ConfigError(f"{file}: unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}")
    texts = {key: " ".join(str(content.get(key, "unknown")).split()) for key in ("url", "license", "citation")}
    about = content.get("about") or f"{content.get('title', file.stem)}: a BIDS dataset with the rules of {file.name}."
    attributes: dict[str, Any] = {"name": file.stem, "title": str(content.get("title", file.stem)), **texts}
    attributes |= {"options": content["options"], "file": file, "__doc__": str(about), "__module__": __name__}
    return type(f"BidsRules_{file.stem}", (BidsRules,), attributes)


def packaged_readers() -> list[type[Reader]]:
    """Readers of the files in this folder, sorted by name."""
    return [rules_reader(file) for file in sorted(FOLDER.glob("*.yaml"))]
