"""Trained encoders: embeddings of recordings by the encoder of EEG, and of sounds by the audio encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from eeg2speech.checkpoints.exports import Part
from eeg2speech.checkpoints.parts import load_into, read_part
from eeg2speech.core.errors import DataError
from eeg2speech.inference.arguments import moved_to, path_of
from eeg2speech.inference.embedders import AudioEmbedder, EEGEmbedder
from eeg2speech.inference.hub import Published
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models.audio.encoder import PATCH, SpectrogramViT
from eeg2speech.models.eeg.encoder import ViTEncoder
from eeg2speech.models.registry import build_encoder, describe


class _Encoder(Published):
    """Common base of both encoders: ``encoder`` is the trained network, other arguments are those of ``Published``."""

    encoder: ViTEncoder | SpectrogramViT

    def __init__(
        self,
        encoder: Any,
        training_data: TrainingDataInfo,
        device: str = "cpu",
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        super().__init__(training_data, device, provenance, source)
        self.encoder = moved_to(device, encoder)

    def _parts(self) -> dict[str, Part]:
        network = self.encoder.encoder if isinstance(self.encoder, SpectrogramViT) else self.encoder
        return {"encoder": Part(describe(network), network.state_dict())}

    @classmethod
    def _load(cls, source: Path, device: str) -> Self:
        loaded = load_encoder(source, device)
        if not isinstance(loaded, cls):
            raise DataError(f"{source}: not a model for {cls.__name__}; load it with {type(loaded).__name__}")
        return loaded


class EEGEncoder(_Encoder, EEGEmbedder):
    """An encoder of EEG; the vector of a window is the mean of its tokens. Made by ``load_encoder``.

    ``encoder`` is the network, for tokens of every patch: see ``models.ViTEncoder``. It may come from any stage. In an
    aligner of stage 2 its input is the output of the subject layer, which is left out here.
    """

    encoder: ViTEncoder

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are identified by their positions, so that any montage can be used."""
        return bool(self.encoder.config["position"] == "electrode")

    def _embed_eeg(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None, subjects: Tensor) -> Tensor:
        return self.encoder.pool(self.encoder(eeg, positions, channel_mask), channel_mask)


class SoundEncoder(_Encoder, AudioEmbedder):
    """An audio encoder; the vector of a window is the mean of its tokens. Made by ``load_encoder``.

    ``encoder`` is the network.
    """

    encoder: SpectrogramViT

    def _embed_sound(self, audio: Tensor) -> Tensor:
        tokens: Tensor = self.encoder(audio)
        return tokens.mean((1, 2))


def load_encoder(source: str | Path, device: str = "cpu") -> EEGEncoder | SoundEncoder:
    """Load a trained encoder of EEG or sound; arguments and errors as of ``eeg2speech.load``."""
    source = path_of(source)
    described, weights, provenance = read_part(source, "encoder")
    training_data = TrainingDataInfo.read(source)
    network = build_encoder(described, str(source))
    if not isinstance(network, ViTEncoder):
        raise DataError(
            f"{source}: a {type(network).__name__}, not an encoder of stage 1; name a run of stage 1, or load a run of "
            "stage 2 with load_aligner"
        )
    load_into(network, weights, str(source))
    if is_audio_encoder(network):
        sound = SpectrogramViT(**{key: network.config[key] for key in ("width", "depth", "heads", "mlp_ratio")})
        sound.encoder, sound.source = network, str(source)
        sound.requires_grad_(False).eval()
        return SoundEncoder(sound, training_data, device, provenance, source)
    network.requires_grad_(False).eval()
    return EEGEncoder(network, training_data, device, provenance, source)


def is_audio_encoder(network: ViTEncoder) -> bool:
    """Whether an encoder of stage 1 is one of sound, by the settings that only those have."""
    settings = (network.config["position"], network.config["gain_free"], network.patch)
    return settings == ("sincos2d", False, (PATCH, PATCH))
