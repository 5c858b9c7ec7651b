"""How checkpoints get onto the disk and back: never half of one, never one whose objects would have to be unpickled."""

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
    """Writes beside, flushes to the disk and renames; a disk that is full costs a checkpoint, not the run.

    Lightning's own writes into the system's temporary folder and moves from there, which on two file systems is a copy
    in place: killed in it, a run has lost the new checkpoint and the old one. It also keeps a second copy in memory.

    What is not trained goes into a file of its own, once; ``read_checkpoint`` puts it back.

    Only the first rank writes, the others wait for it. An error raised there alone would leave them waiting, so a
    failed write is a warning, and whoever needs the file looks whether it is there.
    """

    def __init__(self) -> None:
        self.failed = False
        """Whether the last write failed."""
        self.failures = 0
        """Writes that failed."""
        self._frozen = FrozenWeights()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one; after an error the earlier file of that name is as it was."""
        file = Path(path)
        self.failed = False
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            content = self._frozen.take_out(checkpoint, file.parent)
            with written_beside(file) as partial, partial.open("wb") as stream:
                torch.save({**content, FORMAT_KEY: FORMAT}, stream)
                stream.flush()
                os.fsync(stream.fileno())  # else a machine that dies can leave the new name with no content
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
        """Read one, without unpickling whatever the caller says.

        Raises:
            DataError: It is missing, damaged, or of a newer version.
        """
        return read_checkpoint(Path(path), mapped=False)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove one that made room for another, unless that other one could not be written."""
        if not self.failed:
            super().remove_checkpoint(path)


def _disk_error(error: BaseException | None) -> OSError | None:
    """The disk's error behind what torch raises in closing an archive that it could not write."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _flush_folder(folder: Path) -> None:
    """Let the renaming outlive a machine that dies, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
