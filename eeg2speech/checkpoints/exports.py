"""Exported folders: the weights of parts as safetensors, and a config.json that describes how to rebuild them.

A folder with one part describes it at the top level of ``config.json``, a folder with several under ``parts``. The file
of a part that contains others has only its own weights; ``contains`` maps each inner part to the prefix of its weights
in the outer one. So no weight is written twice, and an inner part can be read alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from eeg2speech import __version__
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import sha256_of, write_json, written_beside

LAYOUT = 3
"""Layout of a config.json with several parts; one with a single part has none. Version 0.1 wrote layout 2."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass
class Part:
    """A part of a model to be exported.

    Attributes:
        described: ``class`` and ``config``.
        weights: Weights by name, without those of inner parts.
        contains: Prefix in this part of the weights of each inner part, by the name of the inner part.
    """

    described: dict[str, Any]
    weights: dict[str, Tensor]
    contains: dict[str, str] = field(default_factory=dict)


def parts_of(taken: Mapping[str, tuple[dict[str, Any], Mapping[str, Tensor], str]]) -> dict[str, Part]:
    """Divide a model into parts so that no weight is in two of them.

    Args:
        taken: Description, all weights, and the prefix of these in the model, by the name of the part.
    """
    parts = {}
    for name, (described, weights, prefix) in taken.items():
        inside = {
            other: other_prefix.removeprefix(prefix)
            for other, (_, _, other_prefix) in taken.items()
            if other_prefix != prefix and other_prefix.startswith(prefix)
        }
        own = {k: v for k, v in weights.items() if not k.startswith(tuple(inside.values()))}
        parts[name] = Part(described, own, inside)
    return parts


def write_export(out: Path, parts: Mapping[str, Part], provenance: Mapping[str, Any], data: Mapping[str, Any]) -> Path:
    """Write parts into a folder; files of an earlier export are replaced, ``config.json`` last.

    Args:
        out: Folder, created if it does not exist.
        parts: Parts by name.
        provenance: Where the weights come from.
        data: Description of the training data; may be empty.

    Raises:
        DataError: The folder cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: the folder cannot be created ({error.strerror}); choose another OUT") from error
    described = {name: _write_part(out / f"{name}.safetensors", part) for name, part in parts.items()}
    config: dict[str, Any] = {"provenance": {**provenance, "eeg2speech": __version__}}
    if len(described) == 1:
        ((name, description),) = described.items()
        config |= {"part": name, **description} | ({"data": dict(data)} if data else {})
    else:
        config |= {"layout": LAYOUT, "parts": described, "data": dict(data)}
    write_json(out / "config.json", config)
    return out


def read_export(folder: Path, part: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Read a part, with its inner parts, from a folder.

    Returns:
        Its description (``class`` and ``config``), its weights, and where they come from.

    Raises:
        DataError: The folder does not hold this part, or is damaged.
    """
    try:
        config = read_config(folder)
        parts = config.get("parts", {config.get("part", part): config})
        for name in (*parts, *parts.get(part, {}).get("contains", {})):
            if not _NAME.fullmatch(name):  # it becomes the name of a file, which must lie in the folder
                raise ValueError(f"{name!r} is not the name of a part")
        if part not in parts:
            raise ValueError(f"its parts: {', '.join(parts)}")
        description = parts[part]
        weights = _read_weights(folder, part, description["sha256"])
        for name, prefix in description.get("contains", {}).items():
            inner = _read_weights(folder, name, parts[name]["sha256"])
            weights |= {prefix + key: value for key, value in inner.items()}
        described = {"class": description["class"], "config": description["config"]}
        provenance = {"folder": folder.name, **config.get("provenance", {})}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(
            f"{folder}: not an exported {part} ({error}); make one with `eeg2speech export CKPT OUT`"
        ) from error
    return described, weights, provenance


def export_names(folder: Path) -> list[str]:
    """Names of the parts in a folder; the last contains all others.

    Raises:
        DataError: The folder is not an export.
    """
    try:
        config = read_config(folder)
        return list(config["parts"]) if "parts" in config else [str(config["part"])] if "part" in config else []
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{folder}: not an export ({error}); make one with `eeg2speech export CKPT OUT`") from error


def read_config(folder: Path) -> dict[str, Any]:
    """Content of a folder's ``config.json``.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a JSON object, or has a later layout.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError("config.json is not a JSON object")
    if config.get("layout", LAYOUT) != LAYOUT:
        raise ValueError(f"config.json has layout {config['layout']}, this eeg2speech reads layout {LAYOUT}")
    return config


def _write_part(file: Path, part: Part) -> dict[str, Any]:
    with written_beside(file) as partial:
        tensors = {name: value.clone().contiguous() for name, value in part.weights.items()}
        partial.write_bytes(save(tensors, {"format": "pt"}))  # `save_file` makes it readable for its owner alone
    description: dict[str, Any] = {
        **part.described,
        "parameters": sum(value.numel() for value in part.weights.values()),
        "sha256": sha256_of(file),
    }
    return description | ({"contains": part.contains} if part.contains else {})


def _read_weights(folder: Path, part: str, sha256: str) -> dict[str, Tensor]:
    file = folder / f"{part}.safetensors"
    weights: dict[str, Tensor] = load_file(file)
    if sha256_of(file) != sha256:
        raise ValueError(f"{file.name} is not the one that config.json describes")
    return weights
