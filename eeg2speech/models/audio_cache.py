from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from eeg2speech.cache import cache_folder
from eeg2speech.errors import ConfigError, DiskError
from eeg2speech.files import written_beside
from eeg2speech.models.audio import STEP, AudioEncoder

PRECISIONS = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}


class CachedAudio(AudioEncoder):
    """A frozen encoder that computes the tokens of each sound once and keeps them on disk.

    A sound is known by its samples and by the encoder's weights and settings, so that nothing is ever stale. Many
    processes may share the folder. Sounds that are cut anew each time (``data.augment.time_shift``) are never met
    again: caching them only fills the disk.

    Args:
        encoder: Computes what is not there yet.
        folder: Where files are kept; unset: ``audio`` in ``$EEG2SPEECH_CACHE`` or the system's cache.
        precision: Of the files. ``fp16`` rounds tokens to three digits and takes 240 KB for 3.2 s of AudioMAE.

    Raises:
        ConfigError: The encoder is trained, or the folder cannot be made.
    """

    def __init__(
        self, encoder: AudioEncoder, folder: Path | None = None, precision: Literal["fp16", "fp32"] = "fp16"
    ) -> None:
        super().__init__()
        self.encoder, self.precision = encoder, precision
        self._refuse_training()
        self.width, self.rows, self.config = encoder.width, encoder.rows, encoder.config
        self.folder = cache_folder() / "audio" if folder is None else Path(folder)
        self.computed = 0
        """How many sounds were not there yet."""
        self._hashed: tuple[list[tuple[int, int]], bytes] | None = None

    def load(self, weights: str | Path) -> None:
        """Give the encoder pretrained weights."""
        self.encoder.load(weights)

    def encode(self, audio: Tensor) -> Tensor:
        """Do what ``forward`` promises; tokens come in single precision, rounded to that of the files."""
        self._refuse_training()
        waves = audio.detach().cpu().float().contiguous().numpy()
        fingerprint = self._fingerprint()
        files = [self._file(hashlib.blake2b(wave, digest_size=16, key=fingerprint).hexdigest()) for wave in waves]
        shape = (audio.shape[-1] // STEP, self.rows, self.width)
        place = {file: index for index, file in enumerate(files)}  # several subjects hear one sound
        tokens = {file: self._read(file, shape) for file in place}
        missing = [file for file, known in tokens.items() if known is None]
        if missing:
            with torch.autocast(audio.device.type, enabled=False):  # what is kept should not depend on the first run
                made = self.encoder(audio[[place[file] for file in missing]].float())
            for file, values in zip(missing, made.cpu().numpy().astype(PRECISIONS[self.precision]), strict=True):
                self._write(file, values)
                tokens[file] = values
            self.computed += len(missing)
        kept = np.stack([values for file in files if (values := tokens[file]) is not None])
        return torch.from_numpy(kept.astype(np.float32)).to(audio.device)

    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Of the encoder; not cached."""
        return self.encoder.each_block(audio)

    def _refuse_training(self) -> None:
        if not self.encoder.frozen:
            raise ConfigError("an encoder that is trained cannot be cached; use it without CachedAudio, or freeze it")

    def _file(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.npy"

    def _read(self, file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
        """Tokens of a sound; None if they are not there or the file is damaged."""
        try:
            tokens = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if not isinstance(tokens, np.ndarray) or tokens.shape != shape or tokens.dtype != PRECISIONS[self.precision]:
            return None
        return tokens

    def _write(self, file: Path, tokens: np.ndarray) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_beside(file) as partial, partial.open("wb") as stream:
                np.save(stream, tokens, allow_pickle=False)
        except OSError as error:
            raise DiskError(
                f"{file.parent}: cannot be written ({error.strerror}); free some space, or set EEG2SPEECH_CACHE to "
                "another folder"
            ) from error

    def _fingerprint(self) -> bytes:
        """Hash of the encoder's weights and settings, computed again once they have changed."""
        state = self.encoder.state_dict()
        versions = [(value.data_ptr(), value._version) for value in state.values()]
        if self._hashed is None or self._hashed[0] != versions:
            described = [type(self.encoder).__name__, self.encoder.config, self.precision]
            made = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=32)
            for name, value in state.items():
                made.update(name.encode())
                made.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._hashed = versions, made.digest()
        return self._hashed[1]
