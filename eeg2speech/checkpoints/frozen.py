"""Frozen weights of a run: written once into a file beside its checkpoints, not into each of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from eeg2speech.core.errors import DataError
from eeg2speech.core.files import written_beside

NAMES = "frozen"
"""Key of the names of the frozen weights, in a checkpoint in memory."""
FILE = "frozen_file"
"""Key of the name of the file with the frozen weights, in a checkpoint on the disk."""
_NAME = re.compile(r"frozen-([0-9a-f]{16})\.safetensors")


class FrozenWeights:
    """Moves frozen weights out of checkpoints: an audio encoder of 86 M parameters would add 0.3 GB to each."""

    def __init__(self) -> None:
        self._written: dict[Path, tuple[Any, str]] = {}

    def without_frozen(self, checkpoint: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """A checkpoint without its frozen weights, which names the file with them.

        Args:
            checkpoint: Content of a checkpoint.
            folder: Where the checkpoint will be written; the file is written there unless it exists.
        """
        content = dict(checkpoint)
        names = [name for name in content.pop(NAMES, []) if name in content["state_dict"]]
        if not names:
            return content
        state: dict[str, Tensor] = content["state_dict"]
        frozen = {name: state[name] for name in names}
        # memory that was not written to since the last checkpoint holds the same numbers
        version = [(name, value.data_ptr(), value._version) for name, value in frozen.items()]
        written, file = self._written.get(folder, (None, ""))
        if written != version or not (folder / file).is_file():
            file = _write(frozen, folder)
            self._written[folder] = version, file
        content["state_dict"] = {name: value for name, value in state.items() if name not in frozen}
        return {**content, FILE: file}


def _write(weights: Mapping[str, Tensor], folder: Path) -> str:
    content = save({name: value.detach().cpu().clone().contiguous() for name, value in weights.items()})
    name = f"frozen-{_digest(content)}.safetensors"
    if not (folder / name).is_file():
        with written_beside(folder / name) as partial:
            partial.write_bytes(content)
    return name


def with_frozen(checkpoint: dict[str, Any], file: Path) -> dict[str, Any]:
    """Add the frozen weights to a checkpoint that was read from a file.

    Raises:
        DataError: The file with the frozen weights is missing, damaged or another one.
    """
    name = checkpoint.get(FILE)
    if name is None:
        return checkpoint
    found = _NAME.fullmatch(str(name))
    if found is None:
        raise DataError(f"{file}: {FILE}={str(name)[:80]!r} is not the name of a file that a run writes")
    beside = file.parent / str(name)
    try:
        content = beside.read_bytes()
        if _digest(content) != found[1]:
            raise DataError(f"{beside}: damaged; it holds the frozen weights of {file.name}; restore it from a copy")
        frozen = load(content)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{beside}: cannot be read ({error}); it holds the frozen weights of {file.name}: keep both in one folder, "
            "or share what `eeg2speech export` writes"
        ) from error
    whole = {key: value for key, value in checkpoint.items() if key != FILE}
    return {**whole, "state_dict": {**checkpoint["state_dict"], **frozen}}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
