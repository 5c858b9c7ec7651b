"""Building a trained aligner anew from its description and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import DataError
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.audio.audiomae import AudioMAE
from eeg2speech.models.audio.encoder import AudioEncoder, SpectrogramViT
from eeg2speech.models.eeg.encoder import ViTEncoder

KNOWN: dict[str, type[nn.Module]] = {cls.__name__: cls for cls in (ViTEncoder, SpectrogramViT, AudioMAE)}


def rebuild_aligner(described: Mapping[str, Any], weights: Mapping[str, Tensor], source: str) -> Aligner:
    """Build an aligner with its encoders, ready for use: in evaluation mode, without gradients, without a cache.

    Args:
        described: ``class`` and ``config``, as ``Aligner.description`` has them.
        weights: By name, those of both encoders included.
        source: Where they come from, for error messages.

    Raises:
        DataError: The description is of another version of the classes, or the weights do not fit it.
    """
    if described.get("config", {}).get("audio", {}).get("cached"):
        weights = {name.replace("audio.encoder.", "audio.", 1): value for name, value in weights.items()}
    aligner = build_aligner(described, source)
    load_into(aligner, weights, source)
    return aligner.requires_grad_(False).eval()


def build_aligner(described: Mapping[str, Any], source: str) -> Aligner:
    """Build an aligner with random weights.

    Args:
        described: ``class`` and ``config``, as ``Aligner.description`` has them.
        source: Where they come from, for error messages.

    Raises:
        DataError: The description is of another version of the classes.
    """
    config = dict(described.get("config", {}))
    encoder = build_encoder(config.pop("encoder", {}), source)
    sound = build_encoder(config.pop("audio", {}), source)
    if not isinstance(encoder, ViTEncoder) or not isinstance(sound, AudioEncoder):
        raise DataError(f"{source}: describes no aligner; export one with `eeg2speech export CKPT OUT`")
    try:
        return Aligner(encoder, sound, **config)
    except TypeError as error:
        raise _other_version(source, "Aligner", error) from error


def build_encoder(described: Mapping[str, Any], source: str) -> nn.Module:
    """Build an encoder of EEG or sound with random weights.

    Args:
        described: ``class`` and ``config``.
        source: Where they come from, for error messages.

    Raises:
        DataError: The class is unknown or of another version.
    """
    name = described.get("class", "")
    if name not in KNOWN:
        raise DataError(f"{source}: an encoder of class {name!r}; this eeg2speech builds {', '.join(KNOWN)}")
    try:
        return KNOWN[name](**described.get("config", {}))
    except TypeError as error:
        raise _other_version(source, name, error) from error


def _other_version(source: str, name: str, error: TypeError) -> DataError:
    return DataError(f"{source}: not settings of {name} ({error}); use the eeg2speech that wrote it")
