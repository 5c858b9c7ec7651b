"""What is built for installation holds the configurations; `.ci/run` installs it and trains from an empty folder."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("pyproject.toml", "README.md", "LICENSE")
CONFIGS = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").rglob("*") if file.is_file())
pytestmark = pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from a copy: builds leave files behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("configs", "eeg2speech"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in NEEDED:
        shutil.copy(ROOT / name, source)
    build = f"from hatchling import build as b; b.build_wheel({str(out)!r}); b.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    return out


def test_the_wheel_holds_each_configuration_as_it_is(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        there = {name: wheel.getinfo(name) for name in wheel.namelist() if name.startswith("eeg2speech/configs/")}
        assert sorted(there) == [f"eeg2speech/{name}" for name in CONFIGS]
        for name in CONFIGS:
            assert wheel.read(f"eeg2speech/{name}") == (ROOT / name).read_bytes()
        assert there["eeg2speech/configs/slurm/pipeline.sh"].external_attr >> 16 & 0o111


def test_the_wheel_puts_nothing_beside_the_package(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        assert {name.partition("/")[0].partition("-")[0] for name in wheel.namelist()} == {"eeg2speech"}


def test_a_wheel_can_be_built_from_the_source_distribution(built: Path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*CONFIGS, "pyproject.toml"} <= names
