"""A cache on disk for the outputs of frozen networks, and an audio encoder that uses it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from eeg2speech.core.cache import cache_folder
from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.core.files import written_beside
from eeg2speech.models.audio.encoder import STEP, AudioEncoder

PRECISIONS: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}
Precision = Literal["fp16", "fp32"]
"""Number type of the files."""


class ContentCache:
    """Keeps the outputs of a frozen network for sounds on disk, so that each is computed once.

    The name of a file is a hash of the sound's samples and of the network's identity, so that no entry gets stale. Many
    processes may share the folder.

    Args:
        name: Of the folder inside the project's cache.
        folder: Another folder for the files.
        precision: Of the files.

    Raises:
        ConfigError: The folder cannot be made.
    """

    def __init__(self, name: str, folder: Path | None = None, precision: Precision = "fp16") -> None:
        self.folder = cache_folder() / name if folder is None else Path(folder)
        self.precision = precision
        self.computed = 0
        """Number of sounds that were not in the cache."""

    def get(self, audio: Tensor, network: bytes, shape: tuple[int, ...], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Output of the network for each sound, in single precision, rounded to the precision of the files.

        Args:
            audio: Waveforms, (B, S).
            network: Identity of the network, up to 64 bytes.
            shape: Of the output for one sound.
            compute: Runs the network, (b, S) to (b, ``*shape``).

        Raises:
            DiskError: A file cannot be written.
        """
        waves = audio.detach().cpu().float().contiguous().numpy()
        files = [self._file(hashlib.blake2b(wave, digest_size=16, key=network).hexdigest()) for wave in waves]
        place = {file: index for index, file in enumerate(files)}  # several subjects may listen to one sound
        found = {file: self._read(file, shape) for file in place}
        missing = [file for file, known in found.items() if known is None]
        if missing:
            with torch.autocast(audio.device.type, enabled=False):  # entries do not depend on the run that made them
                made = compute(audio[[place[file] for file in missing]].float())
            for file, values in zip(missing, made.cpu().numpy().astype(PRECISIONS[self.precision]), strict=True):
                self._write(file, values)
                found[file] = values
            self.computed += len(missing)
        kept = np.stack([values for file in files if (values := found[file]) is not None])
        return torch.from_numpy(kept.astype(np.float32)).to(audio.device)

    def _file(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.npy"

    def _read(self, file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
        """Content of a file; None if it is missing or damaged."""
        try:
            values = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != PRECISIONS[self.precision]:
            return None
        return values

    def _write(self, file: Path, values: np.ndarray) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_beside(file) as partial, partial.open("wb") as stream:
                np.save(stream, values, allow_pickle=False)
        except OSError as error:
            raise DiskError(
                f"{file.parent}: cannot be written ({error.strerror}); free some space, or set EEG2SPEECH_CACHE to "
                "another folder"
            ) from error


def without_cache(audio: AudioEncoder) -> AudioEncoder:
    """The encoder inside a ``CachedAudio``; any other encoder itself."""
    return audio.encoder if isinstance(audio, CachedAudio) else audio


class CachedAudio(AudioEncoder):
    """A frozen audio encoder that computes the tokens of each sound once and keeps them on disk.

    Weights and settings identify the encoder. Sounds that are cut at random each time (``data.augment.time_shift``) do
    not occur twice: caching them only fills the disk.

    Args:
        encoder: Computes tokens that are not in the cache.
        folder: Of the files; unset: ``audio`` in ``$EEG2SPEECH_CACHE`` or the system's cache.
        precision: Of the files. ``fp16`` rounds tokens to three digits and takes 240 KB for 3.2 s of AudioMAE.

    Raises:
        ConfigError: The encoder is trained, or the folder cannot be made.
    """

    def __init__(self, encoder: AudioEncoder, folder: Path | None = None, precision: Precision = "fp16") -> None:
        super().__init__()
        self.encoder = encoder
        self._refuse_training()
        self.width, self.rows, self.window = encoder.width, encoder.rows, encoder.window
        self.config, self.source = encoder.config, encoder.source
        self.cache = ContentCache("audio", folder, precision)
        self._hashed: tuple[list[tuple[int, int]], bytes] | None = None

    def load(self, weights: str | Path) -> None:
        """Load pretrained weights into the encoder."""
        self.encoder.load(weights)
        self.source = self.encoder.source

    def encode(self, audio: Tensor) -> Tensor:
        """Compute tokens or read them, in single precision, rounded to the precision of the files."""
        self._refuse_training()
        shape = (audio.shape[-1] // STEP, self.rows, self.width)
        return self.cache.get(audio, self._fingerprint(), shape, self.encoder)

    @property
    def computed(self) -> int:
        """Number of sounds that were not in the cache."""
        return self.cache.computed

    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Normed output of every block of the encoder; not cached."""
        return self.encoder.each_block(audio)

    def _refuse_training(self) -> None:
        if not self.encoder.frozen:
            raise ConfigError("a trainable encoder cannot be cached; use it without CachedAudio, or freeze it")

    def _fingerprint(self) -> bytes:
        """Hash of the encoder's weights and settings, computed again when they have changed."""
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
