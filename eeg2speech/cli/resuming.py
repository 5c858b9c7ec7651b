"""Where a run that was stopped goes on."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from eeg2speech.checkpoint import read_checkpoint
from eeg2speech.errors import DataError

_NAMES = ("preempted.ckpt", "last.ckpt")


def newest_checkpoint(run: Path) -> Path | None:
    """The newer of the checkpoints of pre-emption and of the last validation that a run folder holds; None for none.

    A damaged one is passed over with a warning.

    Raises:
        DataError: There are some, and none can be read.
    """
    there = [file for name in _NAMES if (file := run / "checkpoints" / name).is_file()]
    there.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
    damage = []
    for file in there:
        try:
            read_checkpoint(file)
        except DataError as error:
            damage.append(str(error))
            continue
        if damage:
            rank_zero_warn(f"{'; '.join(damage)}. Going on from the older {file}")
        return file
    if damage:
        raise DataError(f"{'; '.join(damage)}; --run names another folder to start anew in")
    return None
