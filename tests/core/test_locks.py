"""Locks between real processes."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from eeg2speech.core import locks
from eeg2speech.core.locks import HeldError, locked

SERVER = multiprocessing.get_context("forkserver")


def hold(file: Path, shared: bool, held: Event, orphan: bool = False) -> None:
    with locked(file, "fit", shared):
        if orphan and os.fork() == 0:  # as a worker of a data loader
            time.sleep(3)
            os._exit(0)
        held.set()
        time.sleep(60)


def kill(process: int) -> None:
    time.sleep(0.5)
    os.kill(process, signal.SIGKILL)


@pytest.fixture
def holder():
    """Start a process that holds a lock."""
    started = []

    def start(file: Path, shared: bool = False, orphan: bool = False):
        held = SERVER.Event()
        process = SERVER.Process(target=hold, args=(file, shared, held, orphan))
        process.start()
        started.append(process)
        assert held.wait(30)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def test_a_second_process_is_told_who_holds_it(holder, tmp_path: Path):
    process = holder(tmp_path / "lock")
    with pytest.raises(HeldError, match=f"fit, process {process.pid} on "), locked(tmp_path / "lock", "fit"):
        pass
    with pytest.raises(HeldError), locked(tmp_path / "lock", "test", shared=True):
        pass


def test_a_shared_lock_is_shared_and_keeps_others_out(holder, tmp_path: Path):
    file = tmp_path / "lock"
    with locked(file, "test", shared=True):
        process = holder(file, shared=True)
        with pytest.raises(HeldError), locked(file, "fit"):
            pass
    with pytest.raises(HeldError), locked(file, "fit"):  # the other still has it
        pass
    process.kill()
    process.join()
    with locked(file, "fit"):
        pass
    assert not file.exists()


@pytest.mark.parametrize("orphan", [False, True])
def test_a_killed_process_is_no_obstacle(holder, tmp_path: Path, orphan: bool):
    process = holder(tmp_path / "lock", orphan=orphan)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / "lock").exists()
    with locked(tmp_path / "lock", "fit"):
        assert (tmp_path / "lock").read_text().startswith(f"fit, process {os.getpid()} on ")
    assert not (tmp_path / "lock").exists()


def test_a_lock_that_is_let_go_is_waited_for(holder, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    process = holder(tmp_path / "lock")
    killer = SERVER.Process(target=kill, args=(process.pid,))
    killer.start()
    with locked(tmp_path / "lock", "fit", patience=30):
        pass
    killer.join()
    assert [record.getMessage().partition("; ")[2] for record in caplog.records] == ["waiting for up to 30 s"]


def count(file: Path, times: int) -> None:
    for _ in range(times):
        with locked(file.with_name("lock"), "count", patience=60):
            value = int(file.read_text())
            time.sleep(0.001)
            file.write_text(str(value + 1))


def test_removing_the_file_lets_no_two_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "_PAUSE", 0.0005)
    (tmp_path / "count").write_text("0")
    processes = [SERVER.Process(target=count, args=(tmp_path / "count", 25)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "count").read_text() == "75"
    assert not (tmp_path / "lock").exists()


def test_without_locks_it_is_said_and_gone_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def missing(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", missing)
    with caplog.at_level(logging.WARNING), locked(tmp_path / "lock", "fit"):
        pass
    assert "has no locks (No locks available)" in caplog.text
