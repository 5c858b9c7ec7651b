"""`python -m eeg2speech` is the console script."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def console_script() -> list[str]:
    """The script as pip would write it, from what pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["eeg2speech"].partition(":")
    code = f"import sys; sys.argv[0] = '/somewhere/bin/eeg2speech'; from {module} import {function}; {function}()"
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("words", "status"), [(["--help"], 0), (["report", "--help"], 0), (["doctor", "gone"], 1), (["fti"], 2)], ids=str
)
def test_both_say_and_return_the_same(words: list[str], status: int, tmp_path: Path):
    ways = (console_script(), [sys.executable, "-m", "eeg2speech"])
    runs = [
        subprocess.run([*way, *words], capture_output=True, text=True, cwd=tmp_path, check=False, env=None)
        for way in ways
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stderr == runs[1].stderr
    assert [run.returncode for run in runs] == [status, status]
    assert "usage: eeg2speech" in runs[0].stdout + runs[0].stderr or status == 1
    assert "__main__" not in runs[0].stdout + runs[0].stderr
