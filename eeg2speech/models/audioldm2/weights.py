"""Reading the weights of diffusers' and transformers' networks, without unpickling objects."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from eeg2speech.core.errors import DataError

_GAIN = {".weight_g": ".weight_v", ".parametrizations.weight.original0": ".parametrizations.weight.original1"}
"""Endings of the names of a weight's length, and of its direction, as two generations of torch normalise weights."""
_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""What diffusers called the parts of an autoencoder's attention before 0.13, and calls them since."""
_UNREADABLE = (
    OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, AssertionError,
    SafetensorError,
)  # fmt: skip


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a file of weights under the names that current libraries give them.

    Weight normalisation is multiplied out: what a vocoder's training may have left, and what transformers 5 would
    replace by random weights.

    Args:
        file: In safetensors' format, or ``.bin`` of ``torch.save``.

    Raises:
        DataError: It is damaged or holds anything but weights.
    """
    try:
        state = load_file(file) if file.suffix == ".safetensors" else _unpickled(file)
        return _renamed(_without_weight_norm(state))
    except pickle.UnpicklingError as error:  # torch's own message advises to run what the file holds
        raise DataError(
            f"{file}: damaged, or holds objects besides weights, which are never unpickled; download it again, as "
            "safetensors if there is one"
        ) from error
    except _UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{file}: not readable as weights ({reason}); download it again") from error


def fingerprint(networks: Mapping[str, nn.Module]) -> str:
    """SHA-256 over the weights of networks: names, shapes, kinds of number and bytes, not the files they came from.

    Args:
        networks: By name, as they were loaded: adapters change the names of weights.
    """
    digest = hashlib.sha256()
    for part, network in sorted(networks.items()):
        for name, value in sorted(network.state_dict().items()):
            digest.update(f"{part}.{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _unpickled(file: Path) -> dict[str, Tensor]:
    content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError("it holds no weights")
    return dict(content)


def _without_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain = dict(state)
    for name in state:
        for gain, direction in _GAIN.items():
            if name.endswith(gain):
                stem = name.removesuffix(gain)
                length, vector = plain.pop(name).double(), plain.pop(stem + direction).double()
                kept = [d for d in range(vector.dim()) if length.shape[d] > 1] or [0]
                norm = vector.norm(dim=[d for d in range(vector.dim()) if d not in kept], keepdim=True)
                plain[f"{stem}.weight"] = (length * vector / norm).to(state[name].dtype)
    return plain


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        for old, new in _OLD_ATTENTION.items():
            name = name.replace(old, new)
        renamed[name] = value
    return renamed
