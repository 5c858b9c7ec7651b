"""What a kill at any moment and a disk that fills leave behind."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from eeg2speech.core.errors import DiskError
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.store.store import REPLACING, Store
from eeg2speech.quality.doctor import examine
from tests.data.made_sources import content, description, load, source

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
    CONTEXT.set_forkserver_preload(["test_prepare_faults", "eeg2speech.data.preparation.prepare"])
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


def raw(folder: Path) -> list[Source]:
    """Recordings whose seed and pitch a file says."""
    return [Source(file.name, file.name, "", "", (file,), partial(seeded, file)) for file in sorted(folder.iterdir())]


def seeded(file: Path) -> RawRecording:
    return load(file.name, int(file.read_text()), {"s": 300 + int(file.read_text())})


def run_again(folder: Path, out: Path) -> None:
    prepare_sources(raw(folder), out, description())


@pytest.mark.slow
def test_a_kill_while_replacing_leaves_one_store_or_the_other(tmp_path):
    CONTEXT.set_forkserver_preload(["test_prepare_faults", "eeg2speech.data.preparation.prepare"])
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(6):
        (folder / f"S{number}").write_text("1")
    run_again(folder, tmp_path / "old")
    old = content(tmp_path / "old")
    for number in range(6):
        (folder / f"S{number}").write_text("22")
    run_again(folder, tmp_path / "new")
    new = content(tmp_path / "new")
    rng = np.random.default_rng(0)
    killed = 0
    for number in range(KILLS):
        out = tmp_path / f"store{number}"
        shutil.copytree(tmp_path / "old", out)
        process = CONTEXT.Process(target=run_again, args=(folder, out))
        process.start()
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.join(60)
        killed += process.exitcode == -signal.SIGKILL
        there = {name: there for name, there in content(out).items() if not name.startswith(".")}
        assert there in (old, new) or (out / REPLACING).exists()
        run_again(folder, out)
        assert content(out) == new
    assert killed > KILLS / 2


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
