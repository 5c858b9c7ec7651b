from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from eeg2speech.core.cache import cache_folder
from eeg2speech.core.errors import DiskError
from eeg2speech.core.files import written_beside

PRECISIONS: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}
Precision = Literal["fp16", "fp32"]
"""Of files on disk."""


class ContentCache:
    """Keeps on disk what a frozen network makes of sounds, by their samples, so that it is computed once.

    A sound is known by its samples and by what identifies the network, so that nothing is ever stale. Many processes
    may share the folder.

    Args:
        name: Of the folder inside the project's cache.
        folder: Where files are kept instead.
        precision: Of the files.

    Raises:
        ConfigError: The folder cannot be made.
    """

    def __init__(self, name: str, folder: Path | None = None, precision: Precision = "fp16") -> None:
        self.folder = cache_folder() / name if folder is None else Path(folder)
        self.precision = precision
        self.computed = 0
        """How many sounds were not there yet."""

    def get(self, audio: Tensor, network: bytes, shape: tuple[int, ...], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What the network makes of each sound, in single precision, rounded to that of the files.

        Args:
            audio: Waveforms, (B, S).
            network: Identifies the network: up to 64 bytes.
            shape: Of what it makes of one sound.
            compute: Runs it, (b, S) to (b, ``*shape``).

        Raises:
            DiskError: A file cannot be written.
        """
        waves = audio.detach().cpu().float().contiguous().numpy()
        files = [self._file(hashlib.blake2b(wave, digest_size=16, key=network).hexdigest()) for wave in waves]
        place = {file: index for index, file in enumerate(files)}  # several subjects hear one sound
        found = {file: self._read(file, shape) for file in place}
        missing = [file for file, known in found.items() if known is None]
        if missing:
            with torch.autocast(audio.device.type, enabled=False):  # what is kept should not depend on the first run
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
        """What is there of a sound; None if nothing is or the file is damaged."""
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
