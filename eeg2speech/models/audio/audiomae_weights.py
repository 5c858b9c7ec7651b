"""Reading AudioMAE's weights from wherever they are, without unpickling objects."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from eeg2speech.core.cache import check_hub_cache
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded

HUB = ("hf_hub:", "hf-hub:")
FILE = "model.safetensors"
_DROPPED = ("decoder_", "mask_token", "head.")
"""Beginnings of the names of weights that only pretraining or classification needs."""


def read_audiomae(weights: str | Path) -> dict[str, Tensor]:
    """Read the weights of AudioMAE's encoder under timm's names.

    Args:
        weights: Id on the Hugging Face hub after ``hf_hub:``, a folder with ``model.safetensors``, a safetensors
            file, or the authors' ``pretrained.pth``.

    Raises:
        ConfigError: The hub cannot be reached or does not have it.
        DataError: A file is missing or damaged.
    """
    name = str(weights)
    file = _download(name.split(":", 1)[1]) if name.startswith(HUB) else _find(expanded(name))
    try:
        state = load_file(file) if file.suffix == ".safetensors" else _unpickled(file)
    except (
        OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, SafetensorError, pickle.UnpicklingError
    ) as error:  # fmt: skip
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{file}: not readable as weights of AudioMAE ({reason}); download it again") from error
    return _renamed(state)


def _find(path: Path) -> Path:
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            f"{file}: no such file; name a folder with {FILE}, a safetensors file, or an id on the hub as "
            "hf_hub:OWNER/NAME"
        )
    return file


def _download(name: str) -> Path:
    from huggingface_hub import hf_hub_download  # a third of a second, and not needed for local files

    check_hub_cache()
    try:
        return Path(hf_hub_download(name, FILE))
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"hf_hub:{name}: cannot be had from the hub ({reason}); download its {FILE} once where there is a network "
            "and name the local folder instead"
        ) from error


def _unpickled(file: Path) -> dict[str, Tensor]:
    # the authors' training script stored its command line beside the weights
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(file, map_location="cpu", weights_only=True)
    state = content.get("model", content)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("it holds no weights")
    return dict(state)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the decoder, and call the final norm ``norm``, which fine-tuned models apply after averaging."""
    kept = {name: value for name, value in state.items() if not name.startswith(_DROPPED)}
    return {f"norm.{name[8:]}" if name.startswith("fc_norm.") else name: value for name, value in kept.items()}
