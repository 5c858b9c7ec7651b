"""Audio encoders: one token for every 160 ms and frequency range."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from eeg2speech.audio.fbank import BANDS, HOP, Fbank
from eeg2speech.checkpoints.parts import load_into, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.eeg.encoder import ViTEncoder
from eeg2speech.models.registry import encoder_class, register

PATCH = 16
"""Mel bands, and frames of 10 ms, of a patch; the same in both audio encoders."""
STEP = PATCH * HOP
"""Audio samples of a time step, 160 ms."""


class AudioEncoder(nn.Module):
    """Base of audio encoders. A subclass with ``registry.register`` serves stages 2 and 3 and is loaded by its name.

    An encoder without trainable weights is frozen: it stays in evaluation mode and computes no gradients.

    Attributes:
        width: Features of a token, D.
        rows: Frequency ranges, F, from low to high.
        window: Length in seconds of the sounds that it was trained on.
        config: Arguments that build it, in plain values, without its weights.
        source: Where its weights were loaded from; None for random weights.
    """

    width: int
    rows: int
    window: float = 3.2
    config: dict[str, Any]
    source: str | None = None

    @abstractmethod
    def load(self, weights: str | Path) -> None:
        """Load pretrained weights."""

    @abstractmethod
    def encode(self, audio: Tensor) -> Tensor:
        """Compute tokens of checked sounds; arguments and result as of ``forward``."""

    @abstractmethod
    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Normed output of every block, (B, L, F, D) each, for waveforms at 16 kHz, (B, S); without gradients."""

    @property
    def frozen(self) -> bool:
        """Whether it has no weights that are trained."""
        return not any(parameter.requires_grad for parameter in self.parameters())

    def train(self, mode: bool = True) -> AudioEncoder:
        """Switch to training mode, except for a frozen encoder."""
        return super().train(mode and not self.frozen)

    def forward(self, audio: Tensor) -> Tensor:
        """Compute the tokens of sounds.

        Args:
            audio: Waveform in [-1, 1] at 16 kHz, (B, S).

        Returns:
            Tokens, (B, L, F, D), for L steps of 160 ms.

        Raises:
            ConfigError: S is not a whole number of steps, or the samples are integers.
        """
        if not audio.is_floating_point():
            raise ConfigError(
                f"sound of type {audio.dtype}; give floating point in [-1, 1] (embed_wav scales integers)"
            )
        if audio.shape[-1] == 0 or audio.shape[-1] % STEP:
            raise ConfigError(
                f"a window with {audio.shape[-1]} samples of sound is not one or more steps of {STEP}, 160 ms "
                "(data.audio, data.window)"
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.encode(audio)


def audio_encoder_class(described: Mapping[str, Any], source: str) -> type[AudioEncoder]:
    """Class of a described audio encoder; arguments as of ``build_encoder``.

    Raises:
        DataError: The class is not registered, or not one of an audio encoder.
    """
    cls = encoder_class(described, source)
    if not issubclass(cls, AudioEncoder):
        raise DataError(f"{source}: {cls.__name__} is not an audio encoder; name one that derives from AudioEncoder")
    return cls


@register
class SpectrogramViT(AudioEncoder):
    """A small AudioMAE: MAEEG's encoder, with mel bands in the place of electrodes.

    Args:
        weights: Checkpoint or exported folder of a run of ``configs/audiomae.yaml``; unset: random.
        trainable: Train it with the rest of the model; else it is frozen.
        width: Features of a token, D.
        depth: Transformer blocks.
        heads: Attention heads.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.

    Raises:
        DataError: The weights are missing, damaged, or of an encoder with other settings.
    """

    rows = BANDS // PATCH

    def __init__(
        self,
        weights: Path | None = None,
        trainable: bool = False,
        width: int = 96,
        depth: int = 4,
        heads: int = 4,
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        self.config = {
            "trainable": trainable, "width": width, "depth": depth, "heads": heads, "mlp_ratio": mlp_ratio
        }  # fmt: skip
        self.width = width
        self.fbank = Fbank()
        self.encoder = ViTEncoder(
            (PATCH, PATCH), width, depth, heads, mlp_ratio, "sincos2d", distance_bias=False, gain_free=False
        )
        self.requires_grad_(trainable).train()
        if weights is not None:
            self.load(weights)

    def load(self, weights: str | Path) -> None:
        """Load the encoder of a run of ``configs/audiomae.yaml``, all or nothing; errors as of the constructor."""
        described, state, _ = read_part(Path(weights), "encoder")
        theirs = described.get("config", {})
        for key in ("patch", "width", "depth", "heads", "mlp_ratio", "position", "gain_free"):
            if theirs.get(key) != self.encoder.config[key]:  # some of them do not show in the shapes of weights
                raise DataError(
                    f"{weights}: an encoder with {key}={theirs.get(key)}, where {self.encoder.config[key]} is needed; "
                    "train one with configs/audiomae.yaml, or use its own settings"
                )
        load_into(self.encoder, state, str(weights))
        self.source = str(weights)

    def encode(self, audio: Tensor) -> Tensor:
        """Compute tokens; see ``AudioEncoder.forward``."""
        tokens: Tensor = self.encoder(self.fbank(audio).transpose(1, 2))
        return tokens

    @torch.no_grad()
    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Normed output of every block; see ``AudioEncoder.each_block``."""
        seen: list[Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, out: seen.append(out)) for block in self.encoder.blocks.blocks
        ]
        try:
            self.encode(audio)
        finally:
            for hook in hooks:
                hook.remove()
        return [rearrange(self.encoder.norm(out), "b (f l) d -> b l f d", f=self.rows) for out in seen]
