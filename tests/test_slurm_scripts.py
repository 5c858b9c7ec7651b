"""The array script, run as SLURM would run its tasks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from eeg2speech.data.store.store import Store
from tests.data.readers.feis_files import write_feis

SCRIPT = Path(__file__).parents[1] / "configs/slurm/prepare_array.sbatch"


def task(folder, number, count, *words, first=1, last=None):
    command = folder / "eeg2speech"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m eeg2speech "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    array = {"ID": number, "MIN": first, "MAX": last or count, "COUNT": count}
    environment = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in array.items()}
    path = os.pathsep.join(filter(None, [str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH")]))
    environment |= {"EEG2SPEECH": str(command), "SLURM_CPUS_PER_TASK": "1", "PYTHONPATH": path}
    return subprocess.run(
        ["bash", str(SCRIPT), *words], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_two_tasks_prepare_one_store(tmp_path):
    root, out = write_feis(tmp_path / "feis"), tmp_path / "store"
    first = task(tmp_path, 1, 2, "feis", str(root), str(out))
    assert first.returncode == 0, first.stderr
    assert "1 of 2 recordings are left to other shards" in first.stdout
    second = task(tmp_path, 2, 2, "feis", str(root), str(out))
    assert second.returncode == 0, second.stderr
    assert Store(out).subjects == ["01", "02"]


def test_an_array_with_gaps_is_refused(tmp_path):
    done = task(tmp_path, 1, 2, "feis", "root", "out", last=3)
    assert done.returncode == 2
    assert "without gaps" in done.stderr
