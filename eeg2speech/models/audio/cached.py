from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.audio.content_cache import ContentCache, Precision
from eeg2speech.models.audio.encoder import STEP, AudioEncoder


class CachedAudio(AudioEncoder):
    """A frozen encoder that computes the tokens of each sound once and keeps them on disk.

    The encoder is known by its weights and settings. Sounds that are cut anew each time (``data.augment.time_shift``)
    are never met again: caching them only fills the disk.

    Args:
        encoder: Computes what is not there yet.
        folder: Where files are kept; unset: ``audio`` in ``$EEG2SPEECH_CACHE`` or the system's cache.
        precision: Of the files. ``fp16`` rounds tokens to three digits and takes 240 KB for 3.2 s of AudioMAE.

    Raises:
        ConfigError: The encoder is trained, or the folder cannot be made.
    """

    def __init__(self, encoder: AudioEncoder, folder: Path | None = None, precision: Precision = "fp16") -> None:
        super().__init__()
        self.encoder = encoder
        self._refuse_training()
        self.width, self.rows, self.config = encoder.width, encoder.rows, encoder.config
        self.source = encoder.source
        self.cache = ContentCache("audio", folder, precision)
        self._hashed: tuple[list[tuple[int, int]], bytes] | None = None

    def load(self, weights: str | Path) -> None:
        """Give the encoder pretrained weights."""
        self.encoder.load(weights)
        self.source = self.encoder.source

    def encode(self, audio: Tensor) -> Tensor:
        """Do what ``forward`` promises; tokens come in single precision, rounded to that of the files."""
        self._refuse_training()
        shape = (audio.shape[-1] // STEP, self.rows, self.width)
        return self.cache.get(audio, self._fingerprint(), shape, self.encoder)

    @property
    def computed(self) -> int:
        """How many sounds were not there yet."""
        return self.cache.computed

    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Of the encoder; not cached."""
        return self.encoder.each_block(audio)

    def _refuse_training(self) -> None:
        if not self.encoder.frozen:
            raise ConfigError("an encoder that is trained cannot be cached; use it without CachedAudio, or freeze it")

    def _fingerprint(self) -> bytes:
        """Hash of the encoder's weights and settings, computed again once they have changed."""
        state = self.encoder.state_dict()
        versions = [(value.data_ptr(), value._version) for value in state.values()]
        if self._hashed is None or self._hashed[0] != versions:
            described = [type(self.encoder).__name__, self.encoder.config, self.cache.precision]
            made = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=32)
            for name, value in state.items():
                made.update(name.encode())
                made.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._hashed = versions, made.digest()
        return self._hashed[1]
