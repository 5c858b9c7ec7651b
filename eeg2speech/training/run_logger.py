"""TensorBoard in a run's folder; a disk that is full costs what would be shown, not the run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn

_FULL = (errno.ENOSPC, errno.EDQUOT)


class RunLogger(TensorBoardLogger):
    """Writes events into a folder itself, without a version.

    TensorBoard writes in a thread, which ends on the first error and raises it in the training. Here what does not fit
    is left out, whole records at a time, so that the file can still be read.

    Args:
        run: The folder.
    """

    def __init__(self, run: Path) -> None:
        super().__init__(str(run.parent), run.name, version="", default_hp_metric=False)
        self._told = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What TensorBoard's writer is; opened when it is first used."""
        new = self._experiment is None
        writer = super().experiment
        if new:
            file = writer.file_writer.event_writer._general_file_writer
            write = file.write

            def write_if_it_fits(record: bytes) -> None:
                path = Path(os.fsdecode(file.filename))
                size = path.stat().st_size if path.exists() else 0
                try:
                    write(record)
                except OSError as error:
                    with path.open("ab") as stream:
                        stream.truncate(size)
                    self._tell(error)

            file.write = write_if_it_fits
        return writer

    def save(self) -> None:
        """Write the hyperparameters, if they fit."""
        try:
            super().save()
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if error.errno not in _FULL:
            raise error
        if not self._told:
            rank_zero_warn(f"{self.log_dir}: not all is logged for TensorBoard ({error.strerror}); free some space")
        self._told = True
