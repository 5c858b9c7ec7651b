"""Locks between real processes."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eeg2speech.core import locks
from eeg2speech.core.locks import HeldError, locked

ROOT = Path(__file__).parents[2]


def start(*words: object) -> subprocess.Popen[str]:
    """Run lock_holder.py."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("lock_holder.py")), *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def holder():
    """Start a process that holds a lock."""
    started = []

    def hold(file: Path, shared: bool = False, orphan: bool = False) -> subprocess.Popen[str]:
        process = start("hold", file, shared, orphan)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


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
    process.wait()
    with locked(file, "fit"):
        pass
    assert not file.exists()


@pytest.mark.parametrize("orphan", [False, True])
def test_a_killed_process_is_no_obstacle(holder, tmp_path: Path, orphan: bool):
    process = holder(tmp_path / "lock", orphan=orphan)
    process.kill()
    process.wait()
    assert (tmp_path / "lock").exists()
    with locked(tmp_path / "lock", "fit"):
        assert (tmp_path / "lock").read_text().startswith(f"fit, process {os.getpid()} on ")
    assert not (tmp_path / "lock").exists()


def test_a_lock_that_is_let_go_is_waited_for(holder, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    process = holder(tmp_path / "lock")
    killer = threading.Timer(0.5, process.kill)
    killer.start()
    with locked(tmp_path / "lock", "fit", patience=30):
        pass
    killer.join()
    assert [record.getMessage().partition("; ")[2] for record in caplog.records] == ["waiting for up to 30 s"]


def test_removing_the_file_lets_no_two_in(tmp_path: Path):
    (tmp_path / "count").write_text("0")
    processes = [start("count", tmp_path / "count", 25) for _ in range(3)]
    assert [process.communicate()[0] or process.returncode for process in processes] == [0, 0, 0]
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
