from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn

from eeg2speech.checkpoints.frozen import FrozenWeights
from eeg2speech.checkpoints.parts import FORMAT, FORMAT_KEY, read_checkpoint
from eeg2speech.core.files import written_beside


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints that are complete or absent, and reads them without unpickling objects.

    A checkpoint is written under another name, flushed to the disk and renamed. Lightning's own class writes into the
    system's temporary folder and moves the file, which between two file systems is a copy: a run that is killed during
    the copy loses the new checkpoint and the old one. It also keeps a second copy in memory.

    Frozen weights are written once into a file of their own; ``read_checkpoint`` adds them again.

    Only the first rank writes, and the others wait for it. An error that is raised on one rank would leave the others
    waiting, so a failed write is a warning: a full disk costs a checkpoint, not the run. Code that needs the file has
    to check that it exists.
    """

    def __init__(self) -> None:
        self.failed = False
        """Whether the last write failed."""
        self.failures = 0
        """Number of writes that failed."""
        self._frozen = FrozenWeights()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; after an error the earlier file of that name is unchanged."""
        file = Path(path)
        self.failed = False
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            content = self._frozen.without_frozen(checkpoint, file.parent)
            with written_beside(file) as partial, partial.open("wb") as stream:
                torch.save({**content, FORMAT_KEY: FORMAT}, stream)
                stream.flush()
                os.fsync(stream.fileno())  # else a crash of the machine can leave an empty file of this name
            _flush_folder(file.parent)
        except (OSError, RuntimeError) as error:
            cause = _disk_error(error)
            if cause is None:
                raise
            self.failed, self.failures = True, self.failures + 1
            kept = "the earlier one is kept" if file.exists() else "there is none of that name yet"
            rank_zero_warn(f"{file}: not saved ({cause.strerror}), {kept}; training goes on: free some space")

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; ``weights_only`` is ignored, as objects are never unpickled.

        Raises:
            DataError: It is missing, damaged, or of a newer version.
        """
        return read_checkpoint(Path(path), mapped=False)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint that was replaced, unless its replacement could not be written."""
        if not self.failed:
            super().remove_checkpoint(path)


def _disk_error(error: BaseException | None) -> OSError | None:
    """The disk's error that caused torch's error in closing an archive."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _flush_folder(folder: Path) -> None:
    """Flush the renaming to the disk, so that it survives a crash of the machine."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
