"""What processes of test_locks.py do; it imports little, as each of them is a new interpreter."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from eeg2speech.core import locks
from eeg2speech.core.locks import locked


def hold(file: str, shared: str, orphan: str) -> None:
    """Hold a lock until killed, and say so; an orphan is what remains of it, as a worker of a data loader."""
    with locked(Path(file), "fit", shared == "True"):
        child = os.fork() if orphan == "True" else None
        if not child:  # a child says so itself, as it may still be starting when its parent goes on
            print("held", flush=True)
        if child == 0:
            time.sleep(3)
            os._exit(0)
        time.sleep(60)


def count(file: str, times: str) -> None:
    """Increase a number in a file under a lock."""
    locks._PAUSE = 0.0005
    for _ in range(int(times)):
        with locked(Path(file).with_name("lock"), "count", patience=60):
            value = int(Path(file).read_text())
            time.sleep(0.001)
            Path(file).write_text(str(value + 1))


if __name__ == "__main__":
    {"hold": hold, "count": count}[sys.argv[1]](*sys.argv[2:])
