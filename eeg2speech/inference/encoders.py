"""Trained encoders in Python: what stage 1 and the encoder of sound make of recordings and sounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from eeg2speech.checkpoints.exports import Part
from eeg2speech.checkpoints.parts import load_into, read_data, read_part
from eeg2speech.core.errors import DataError
from eeg2speech.inference.arguments import moved_to, path_of
from eeg2speech.inference.audio_embedder import AudioEmbedder
from eeg2speech.inference.eeg_embedder import EEGEmbedder
from eeg2speech.inference.hub import Published
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models.audio.encoder import PATCH, SpectrogramViT
from eeg2speech.models.eeg.encoder import ViTEncoder
from eeg2speech.models.registry import build_encoder


class _Encoded(Published):
    """What both encoders have in common; arguments as of ``AlignmentModel``."""

    encoder: ViTEncoder | SpectrogramViT

    def __init__(
        self,
        encoder: Any,
        trained_on: TrainingDataInfo,
        device: str = "cpu",
        remembered: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        self.encoder, self.trained_on, self.device = moved_to(device, encoder), trained_on, device
        self.remembered, self.provenance, self.source = dict(remembered or {}), dict(provenance or {}), source

    def _parts(self) -> dict[str, Part]:
        network = self.encoder.encoder if isinstance(self.encoder, SpectrogramViT) else self.encoder
        described = {"class": type(network).__name__, "config": network.config}
        return {"encoder": Part(described, network.state_dict())}

    @classmethod
    def _load(cls, source: Path, device: str) -> Self:
        loaded = load_encoder(source, device)
        if not isinstance(loaded, cls):
            raise DataError(f"{source}: not what {cls.__name__} loads; load it with {type(loaded).__name__}")
        return loaded


class EEGEncoder(_Encoded, EEGEmbedder):
    """An encoder of EEG that meets recordings as it met those it was trained on; vectors are means of its tokens.

    Made by ``load_encoder``. ``encoder`` is the network, for tokens of every patch: see ``models.ViTEncoder``. It is of
    any stage: that of stage 2 inside an aligner is fed what the subject layer makes of the EEG, which this one leaves
    out.
    """

    encoder: ViTEncoder

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are known by their positions alone."""
        return bool(self.encoder.config["position"] == "electrode")

    def _vectors(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None, subjects: Tensor) -> Tensor:
        return self.encoder.pool(self.encoder(eeg, positions, channel_mask), channel_mask)


class SoundEncoder(_Encoded, AudioEmbedder):
    """An encoder of sound; vectors are means of its tokens. Made by ``load_encoder``; ``encoder`` is the network."""

    encoder: SpectrogramViT

    def _sound_vectors(self, audio: Tensor) -> Tensor:
        tokens: Tensor = self.encoder(audio)
        return tokens.mean((1, 2))


def load_encoder(source: str | Path, device: str = "cpu") -> EEGEncoder | SoundEncoder:
    """Load a trained encoder of EEG or sound.

    Args:
        source: Folder that ``eeg2speech export`` or the end of ``eeg2speech fit`` wrote, or a checkpoint.
        device: Where it computes, e.g. ``cuda``.

    Raises:
        DataError: There is no encoder, it is damaged, or it does not say how its data were prepared.
    """
    source = path_of(source)
    described, weights, provenance = read_part(source, "encoder")
    remembered = read_data(source)
    trained_on = TrainingDataInfo.of(remembered, str(source))
    network = build_encoder(described, str(source))
    if not isinstance(network, ViTEncoder):
        raise DataError(f"{source}: a {type(network).__name__}, no encoder of stage 1; name a run of that")
    load_into(network, weights, str(source))
    if is_audio_encoder(network):
        sound = SpectrogramViT(**{key: network.config[key] for key in ("width", "depth", "heads", "mlp_ratio")})
        sound.encoder, sound.source = network, str(source)
        sound.requires_grad_(False).eval()
        return SoundEncoder(sound, trained_on, device, remembered, provenance, source)
    network.requires_grad_(False).eval()
    return EEGEncoder(network, trained_on, device, remembered, provenance, source)


def is_audio_encoder(network: ViTEncoder) -> bool:
    """Whether an encoder is one of sound: such a task takes no other settings, and one of EEG has others."""
    rows = (network.config["position"], network.config["gain_free"], network.patch)
    return rows == ("sincos2d", False, (PATCH, PATCH))
