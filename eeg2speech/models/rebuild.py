"""Rebuilding a trained aligner from its description and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import DataError
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.audio.encoder import AudioEncoder
from eeg2speech.models.eeg.encoder import ViTEncoder
from eeg2speech.models.eeg.step_encoder import StepEncoder
from eeg2speech.models.registry import build_encoder, other_version


def rebuild_aligner(described: Mapping[str, Any], weights: Mapping[str, Tensor], source: str) -> Aligner:
    """Build an aligner with its encoders and weights, in evaluation mode, without gradients and without a cache.

    Args:
        described: ``class`` and ``config``, as of ``Aligner.description``.
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
    """Build an aligner with random weights; arguments as of ``rebuild_aligner``.

    Raises:
        DataError: The description is of another version of the classes.
    """
    config = dict(described.get("config", {}))
    encoder = build_encoder(config.pop("encoder", {}), source)
    audio = build_encoder(config.pop("audio", {}), source)
    if not isinstance(encoder, ViTEncoder | StepEncoder) or not isinstance(audio, AudioEncoder):
        raise DataError(f"{source}: describes no aligner; export one with `eeg2speech export CKPT OUT`")
    try:
        return Aligner(encoder, audio, **config)
    except TypeError as error:
        raise other_version(source, "Aligner", error) from error
