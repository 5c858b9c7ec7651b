"""TensorBoard logs in a run folder; a full disk loses logs, but does not stop the run."""

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
    """Writes events directly into a run folder, without a version folder.

    TensorBoard writes in a thread that ends on the first error and raises it in the training loop. Here records that
    do not fit on the disk are skipped, and the file stays readable.
    """

    def __init__(self, run: Path) -> None:
        super().__init__(str(run.parent), run.name, version="", default_hp_metric=False)
        self._warned = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """TensorBoard's writer, opened on first use."""
        new = self._experiment is None
        writer = super().experiment
        if new:
            file = writer.file_writer.event_writer._general_file_writer
            write = file.write

            def write_if_possible(record: bytes) -> None:
                path = Path(os.fsdecode(file.filename))
                size = path.stat().st_size if path.exists() else 0
                try:
                    write(record)
                except OSError as error:
                    with path.open("ab") as stream:
                        stream.truncate(size)
                    self._warn_if_full(error)

            file.write = write_if_possible
        return writer

    def save(self) -> None:
        """Write the hyperparameters, if they fit on the disk."""
        try:
            super().save()
        except OSError as error:
            self._warn_if_full(error)

    def _warn_if_full(self, error: OSError) -> None:
        if error.errno not in _FULL:
            raise error
        if not self._warned:
            rank_zero_warn(f"{self.log_dir}: some logs for TensorBoard are lost ({error.strerror}); free some space")
        self._warned = True
