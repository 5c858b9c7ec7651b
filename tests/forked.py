"""Runs of the command in processes that can be killed; forked after the imports, one costs a second or two."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from eeg2speech.cli import main

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["eeg2speech.cli.lightning", "eeg2speech.models.audioldm2.speech", "tensorboard"])
DEADLINE = 600
"""Seconds."""


def run(argv: Sequence[str], log: Path, ranks: int = 1, kill_after: float | None = None) -> list[int]:
    """Run a command on each rank; one that dies takes the others with it.

    Args:
        argv: Words after ``eeg2speech``.
        log: What it prints is appended to this file.
        ranks: Processes, joined by gloo.
        kill_after: Seconds after which all are killed.

    Returns:
        Exit status of each rank; -9 killed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [_SERVER.Process(target=_main, args=(list(argv), str(log), rank, ranks, port)) for rank in range(ranks)]
    for process in processes:
        process.start()
    end = time.monotonic() + (DEADLINE if kill_after is None else kill_after)
    while any(process.is_alive() for process in processes):
        if any(process.exitcode for process in processes):
            end = min(end, time.monotonic() + 1)
        if time.monotonic() > end:
            for process in processes:
                process.kill()
        processes[0].join(0.02)
    return [process.exitcode or 0 for process in processes]


def _main(argv: list[str], log: str, rank: int, ranks: int, port: int) -> None:
    number = os.open(f"{log}.{rank}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(number, 1)
    os.dup2(number, 2)
    if ranks > 1:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_WORLD_SIZE=str(ranks), GROUP_RANK="0",
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test", GLOO_SOCKET_IFNAME="lo",
        )  # fmt: skip
    status = 1
    try:
        status = main(argv)
    except SystemExit as left:
        status = int(left.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # a worker or a thread that hangs must not keep the test waiting
