"""What a kill at any moment and a disk that fills leave behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_prepare import content, description, source

from eeg2speech.data.doctor import examine
from eeg2speech.data.prepare import prepare_sources
from eeg2speech.data.store import Store
from eeg2speech.errors import DiskError

KILLS = 20
CONTEXT = multiprocessing.get_context("forkserver")


def sources(count=6):
    return [source(f"sub-{n:02d}", n, {f"s{n}": 300 + n, "extra": 250}) for n in range(count)]


def run(out: Path) -> None:
    prepare_sources(sources(), out, description())


def seconds(out: Path) -> float:
    started = time.monotonic()
    process = CONTEXT.Process(target=run, args=(out,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - started


def errors(store: Path) -> list[str]:
    # the sounds are silent stretches of the tests' own making: only errors count
    return [problem.text for problem in examine(Store(store)).problems if problem.severity == "error"]


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_what_a_rerun_completes(tmp_path):
    CONTEXT.set_forkserver_preload(["test_prepare_faults", "eeg2speech.data.prepare"])
    seconds(tmp_path / "warm")
    whole = seconds(tmp_path / "whole")
    expected = content(tmp_path / "whole")
    rng = np.random.default_rng(0)
    killed = 0
    for number in range(KILLS):
        out = tmp_path / f"store{number}"
        process = CONTEXT.Process(target=run, args=(out,))
        process.start()
        time.sleep(rng.uniform(0, whole))
        process.kill()
        process.join(60)
        killed += process.exitcode == -signal.SIGKILL
        assert not out.exists() or content(out) == expected  # never half a store
        run(out)
        assert content(out) == expected
        assert errors(out) == []
    assert killed > KILLS / 2
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".") or file.suffix == ".partial"]


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = sys.platform == "linux" and os.geteuid() == 0
    command = ["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(folder)]
    if not mounted or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_loses_nothing(small_disk):
    out = small_disk / "store"
    with pytest.raises(DiskError, match="disk is full") as caught:
        prepare_sources(sources(12), out, description())
    assert "finished recordings are kept" in str(caught.value)
    assert not out.exists()
    kept = {file.name for file in (small_disk / "store.partial" / ".finished").glob("*.json")}
    assert kept
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    again = [source(s.recording, damage="read again") if f"{s.recording}.json" in kept else s for s in sources(12)]
    assert prepare_sources(again, out, description()).errors == []
    assert len(Store(out).recordings) == 12
    assert errors(out) == []
