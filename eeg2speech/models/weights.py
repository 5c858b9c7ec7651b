"""Weights in files and on the Hugging Face hub; objects are never unpickled."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from eeg2speech.core.cache import check_hub_cache
from eeg2speech.core.errors import ConfigError, DataError

HUB = ("hf_hub:", "hf-hub:")
"""Prefixes of ids on the Hugging Face hub."""
_UNREADABLE = (
    OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, AssertionError,
    SafetensorError,
)  # fmt: skip


def read_weights(file: Path, allowed: tuple[type, ...] = ()) -> dict[str, Tensor]:
    """Read weights by name.

    Args:
        file: In safetensors' format, or a file of ``torch.save`` with weights, alone or under the key ``model``.
        allowed: Classes whose objects may stand beside ``model``.

    Raises:
        DataError: The file is damaged or holds anything else.
    """
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        with torch.serialization.safe_globals(list(allowed)):
            content = torch.load(file, map_location="cpu", weights_only=True)
        state = content.get("model", content)
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds no weights")
        return dict(state)
    except pickle.UnpicklingError as error:  # torch's own message advises to run the code in the file
        raise DataError(
            f"{file}: damaged, or holds objects besides weights, which are never unpickled; download it again, as "
            "safetensors if there is one"
        ) from error
    except _UNREADABLE as error:
        raise DataError(f"{file}: not readable as weights ({first_line(error)}); download it again") from error


def from_hub(name: str, download: Callable[[], str], remedy: str, default_cache: bool = True) -> Path:
    """Download something from the Hugging Face hub.

    Args:
        name: What the user named, for error messages.
        download: Downloads it and returns its path.
        remedy: What to do where that fails, for error messages.
        default_cache: It goes into the hub's default cache, which is checked first.

    Raises:
        ConfigError: The hub cannot be reached or does not have it, or the cache cannot be used.
    """
    if default_cache:
        check_hub_cache()
    try:
        return Path(download())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: cannot be downloaded from the hub ({first_line(error)}); {remedy}") from error


def fingerprint(networks: Mapping[str, nn.Module]) -> str:
    """SHA-256 over the names, shapes, number types and bytes of weights, whatever files they were read from.

    Args:
        networks: By name, as they were loaded: adapters change the names of weights.
    """
    digest = hashlib.sha256()
    for part, network in sorted(networks.items()):
        for name, value in sorted(network.state_dict().items()):
            digest.update(f"{part}.{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """First line of an error's message; its class where there is none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
