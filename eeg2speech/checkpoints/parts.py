"""Parts of a model, read from a checkpoint or an exported folder without unpickling, and exported."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eeg2speech.checkpoints.exports import Part, parts_of, read_config, read_export, write_export
from eeg2speech.checkpoints.frozen import with_frozen
from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded

FORMAT = 2
"""Format of the checkpoints that runs write; those of another format are refused. Version 0.1 wrote format 1."""
FORMAT_KEY = "eeg2speech_format"
_UNREADABLE = (
    OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError,
    LookupError, TypeError, AttributeError, AssertionError,  # raised by the restricted unpickler for damaged bytes
)  # fmt: skip
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def canonical(name: str) -> str:
    """A weight's name without the prefixes of torch.compile, DDP, FSDP and activation checkpointing."""
    return _WRAPPERS.sub("", name)


def canonical_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by their canonical names."""
    return {canonical(name): value for name, value in state.items()}


def read_checkpoint(file: Path, mapped: bool = True) -> dict[str, Any]:
    """Read a Lightning checkpoint without unpickling objects.

    Args:
        file: Checkpoint of a run.
        mapped: Map tensors to memory instead of reading them. A run that resumes changes them: it reads them.

    Raises:
        DataError: The file is missing, truncated, not a checkpoint, or of another version; the message names another
            one in its folder that can be read.
    """
    try:
        return _read(file, mapped)
    except DataError as error:
        raise DataError("; ".join(filter(None, [str(error), _advice(file, error)]))) from error.__cause__


class _VersionError(DataError):
    """A checkpoint of another version; its message contains what to do."""


def _read(file: Path, mapped: bool) -> dict[str, Any]:
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise DataError(f"{file}: no such checkpoint") from None
    except pickle.UnpicklingError as error:  # torch's own message advises to execute the content of the file
        raise DataError(
            f"{file}: not a readable checkpoint (damaged, or it holds objects besides tensors and plain values, which "
            "are never unpickled)"
        ) from error
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{file}: not a readable checkpoint ({reason})") from error
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise DataError(f"{file}: not a Lightning checkpoint (no state_dict)")
    version = checkpoint.get(FORMAT_KEY, FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise _VersionError(
            f"{file}: written by a newer eeg2speech ({FORMAT_KEY}={version}, this one reads {FORMAT}); update "
            "eeg2speech"
        )
    if version < FORMAT:
        raise _VersionError(
            f"{file}: written by an older eeg2speech ({FORMAT_KEY}={version}, this one reads {FORMAT}); train again "
            "with `eeg2speech fit`"
        )
    return with_frozen(checkpoint, file)


def _advice(file: Path, error: DataError) -> str:
    """Name the checkpoint in the folder that has the latest step among those that can be read."""
    steps: dict[str, int] = {}
    for other in sorted(file.parent.glob("*.ckpt")):
        if other != file:
            with suppress(DataError):
                steps[other.name] = int(_read(other, mapped=True).get("global_step", 0))
    if not steps and isinstance(error, _VersionError):
        return ""
    if not steps:
        return "no other checkpoint beside it can be read; use one that a run wrote"
    name = max(steps, key=lambda name: steps[name])
    return f"{name} beside it is good (step {steps[name]}): use that one"


def read_part(source: Path, part: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Read a part of a model.

    Args:
        source: A checkpoint of a run, or a folder that ``eeg2speech export`` wrote.
        part: Name of the part, e.g. ``encoder``.

    Returns:
        Its description (``class`` and ``config``), its weights, and where they come from.

    Raises:
        DataError: The source does not hold this part, or is damaged.
    """
    source = expanded(source)
    if source.is_dir():
        return read_export(source, part)
    checkpoint = read_checkpoint(source)
    described, weights, _ = _extract(checkpoint, part, source)
    return described, weights, _provenance(checkpoint, source)


def read_data(source: Path) -> dict[str, Any]:
    """Description of a model's training data; empty where the source has none.

    Args:
        source: A checkpoint of a run, or a folder that ``eeg2speech export`` wrote.

    Raises:
        DataError: The source is damaged.
    """
    source = expanded(source)
    try:
        content = read_config(source) if source.is_dir() else read_checkpoint(source)
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: not an export ({error}); make one with `eeg2speech export CKPT OUT`") from error
    data = content.get("data", {})
    return dict(data) if isinstance(data, dict) else {}


def load_into(module: nn.Module, weights: Mapping[str, Tensor], source: str, assign: bool = False) -> None:
    """Load weights, all or nothing.

    Args:
        module: Module to load the weights into.
        weights: Weights by canonical name.
        source: Where they come from, for error messages.
        assign: Use these tensors themselves, which saves the memory of a copy.

    Raises:
        DataError: Names or shapes differ; the message lists them.
    """
    own_names = {canonical(name): name for name in module.state_dict()}
    if found := differences(canonical_state(module.state_dict()), weights):
        raise DataError(f"{source}: does not fit {type(module).__name__}; {found}; use its own settings")
    module.load_state_dict({own_names[name]: value for name, value in weights.items()}, assign=assign)


def differences(have: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Differences in names and shapes between a model's weights and given ones, in words; empty where they fit."""
    missing, unexpected = sorted(have.keys() - given.keys()), sorted(given.keys() - have.keys())
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(have[name].shape)}"
        for name in sorted(have.keys() & given.keys())
        if have[name].shape != given[name].shape
    ]
    return "; ".join(
        f"{what}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    )


def export_part(source: Path, out: Path, part: str = "encoder") -> Path:
    """Write a part of a checkpoint as ``<part>.safetensors`` and ``config.json``.

    Args:
        source: A checkpoint of a run.
        out: Folder to write into; files of an earlier export are replaced.
        part: Name of the part; its file also has the weights of its inner parts.

    Returns:
        ``out``.

    Raises:
        DataError: The checkpoint does not hold this part, or ``out`` cannot be created.
    """
    described, weights, provenance = read_part(source, part)
    return write_export(out, {part: Part(described, weights)}, provenance, read_data(source))


def export_parts(source: Path, out: Path) -> list[str]:
    """Write all parts that a checkpoint describes, each as ``<part>.safetensors``, and one ``config.json``.

    Args:
        source: A checkpoint of a run.
        out: Folder to write into; files of an earlier export are replaced.

    Returns:
        Names of the parts.

    Raises:
        DataError: The checkpoint describes no part, or ``out`` cannot be created.
    """
    checkpoint = read_checkpoint(source)
    names = part_names(checkpoint) or ["encoder"]  # which the error then names as missing
    taken = {name: _extract(checkpoint, name, source) for name in names}
    write_export(out, parts_of(taken), _provenance(checkpoint, source), checkpoint.get("data", {}))
    return names


def part_names(checkpoint: Mapping[str, Any]) -> list[str]:
    """Names of the parts that a checkpoint describes; the last contains all others."""
    return list(checkpoint.get("parts", {}))


def _extract(checkpoint: Mapping[str, Any], part: str, source: Path) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    """Description, weights and prefix of a part of a checkpoint."""
    state = canonical_state(checkpoint["state_dict"])
    described = dict(checkpoint.get("parts", {}).get(part, {}))
    prefix = described.pop("prefix", "?")
    weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not weights:
        there = ", ".join(sorted(part_names(checkpoint))) or "none"
        raise DataError(f"{source}: has no {part}; the parts it describes: {there}")
    return described, weights, prefix


def _provenance(checkpoint: Mapping[str, Any], source: Path) -> dict[str, Any]:
    return {
        "checkpoint": source.name,
        "global_step": int(checkpoint.get("global_step", 0)),
        "epoch": int(checkpoint.get("epoch", 0)),
        "lightning": str(checkpoint.get("pytorch-lightning_version", "")),
    }
