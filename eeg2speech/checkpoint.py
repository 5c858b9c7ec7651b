"""Handing an encoder from one stage to the next: out of a checkpoint or an exported folder, never unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eeg2speech import __version__
from eeg2speech.errors import DataError
from eeg2speech.files import write_json, written_beside

_UNREADABLE = (
    OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError,
    LookupError, TypeError, AttributeError, AssertionError,  # what the restricted unpickler makes of flipped bytes
)  # fmt: skip
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def canonical(name: str) -> str:
    """Drop what torch.compile, DDP, FSDP and activation checkpointing put into a weight's name."""
    return _WRAPPERS.sub("", name)


def canonical_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give every weight its canonical name."""
    return {canonical(name): value for name, value in state.items()}


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a Lightning checkpoint without unpickling objects.

    Raises:
        DataError: The file is missing, truncated, or not a checkpoint.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise DataError(f"{file}: no such checkpoint") from None
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{file}: not a readable checkpoint ({reason}); use another one, e.g. last.ckpt") from error
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise DataError(f"{file}: not a Lightning checkpoint (no state_dict); use one that a run wrote")
    content: dict[str, Any] = checkpoint
    return content


def read_part(source: Path, part: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Read a part of a model.

    Args:
        source: A checkpoint of a run, or a folder that ``eeg2speech export`` wrote.
        part: Which, e.g. ``encoder``.

    Returns:
        Its description (``class`` and ``config``), its weights, and where they come from.

    Raises:
        DataError: The source does not hold this part, or is damaged.
    """
    source = Path(source)
    if source.is_dir():
        return _read_export(source, part)
    checkpoint = read_checkpoint(source)
    state = canonical_state(checkpoint["state_dict"])
    described = dict(checkpoint.get("parts", {}).get(part, {}))
    prefix = described.pop("prefix", "?")
    weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not weights:
        there = ", ".join(sorted(checkpoint.get("parts", {}))) or "none"
        raise DataError(f"{source}: has no {part}; the parts it describes: {there}")
    provenance = {
        "checkpoint": source.name,
        "global_step": int(checkpoint.get("global_step", 0)),
        "epoch": int(checkpoint.get("epoch", 0)),
        "lightning": str(checkpoint.get("pytorch-lightning_version", "")),
    }
    return described, weights, provenance


def load_into(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load weights, all or nothing.

    Raises:
        DataError: Names or shapes differ; the message lists them.
    """
    have = {canonical(name): (name, value) for name, value in module.state_dict().items()}
    missing, unexpected = sorted(have.keys() - weights.keys()), sorted(weights.keys() - have.keys())
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(have[name][1].shape)}"
        for name in sorted(have.keys() & weights.keys())
        if have[name][1].shape != weights[name].shape
    ]
    found = [
        f"{what}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if found:
        raise DataError(f"{source}: does not fit {type(module).__name__}; {'; '.join(found)}; use its own settings")
    module.load_state_dict({have[name][0]: value for name, value in weights.items()})


def export_part(source: Path, out: Path, part: str = "encoder") -> Path:
    """Write a part of a checkpoint as ``<part>.safetensors`` and ``config.json``.

    Args:
        source: A checkpoint of a run.
        out: Folder to write into; files of an earlier export are replaced.
        part: Which.

    Returns:
        ``out``.

    Raises:
        DataError: The checkpoint does not hold this part, or ``out`` cannot be made.
    """
    described, weights, provenance = read_part(source, part)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made a folder ({error.strerror}); choose another OUT") from error
    file = out / f"{part}.safetensors"
    with written_beside(file) as partial:
        save_file({name: value.clone().contiguous() for name, value in weights.items()}, partial, {"format": "pt"})
    description = {
        "part": part,
        **described,
        "parameters": sum(value.numel() for value in weights.values()),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "provenance": provenance | {"eeg2speech": __version__},
    }
    write_json(out / "config.json", description)
    return out


def _read_export(folder: Path, part: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    try:
        description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        file = folder / f"{part}.safetensors"
        weights = load_file(file)
        described = {"class": description["class"], "config": description["config"]}
        if hashlib.sha256(file.read_bytes()).hexdigest() != description["sha256"]:
            raise ValueError(f"{file.name} is not the one that config.json describes")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(
            f"{folder}: not an exported {part} ({error}); make one with `eeg2speech export CKPT OUT`"
        ) from error
    return described, weights, {"folder": folder.name, **description.get("provenance", {})}
