"""What a run leaves behind so that it can be understood and repeated."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from eeg2speech import __version__
from eeg2speech.cli import main
from eeg2speech.data.store.store import Store
from eeg2speech.training import write_environment
from eeg2speech.training.write_environment import git_revision

CONFIGS = ["--config=configs/maeeg.yaml", "--config=tests/conf/tiny.yaml", "--trainer.max_steps=4"]
RECORD = "--trainer.callbacks+=eeg2speech.training.WriteEnvironment"


def test_each_start_records_its_environment(tiny_store: Path, tmp_path: Path):
    run = tmp_path / "maeeg"
    given = [*CONFIGS, f"--data.store={tiny_store}", f"--run={run}", RECORD]
    assert main(["fit", *given, "--seed_everything=7", "--data.seed=8"]) == 0
    found = json.loads((run / "environment.json").read_text())
    assert found["eeg2speech"] == __version__
    assert found["packages"]["torch"] == torch.__version__
    assert found["seed"] == {"seed_everything": 7, "steps": 0, "data": 8, "split": 0}
    assert found["data"]["fingerprint"] == Store(tiny_store).fingerprint
    assert found["data"]["simulated"] is True
    assert found["hardware"]["threads"] == torch.get_num_threads()
    assert found["devices"]["world_size"] == 1
    assert found["resumed_from"] is None
    assert main(["fit", *given, "--ckpt_path=last", "--trainer.max_steps=8"]) == 0
    again = json.loads((run / "environment.1.json").read_text())
    assert again["resumed_from"] == str(run / "checkpoints/last.ckpt")
    assert json.loads((run / "environment.json").read_text()) == found
    assert not list(run.glob("*.partial"))


@pytest.mark.filterwarnings("default:.*the environment of the run is not recorded")
def test_a_full_disk_does_not_stop_the_run(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(file: Path, content: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_environment, "write_json", full)
    with pytest.warns(UserWarning, match="not recorded .*No space left"):
        assert main(["fit", *CONFIGS, f"--data.store={tiny_store}", f"--run={tmp_path / 'maeeg'}", RECORD]) == 0
    assert (tmp_path / "maeeg/checkpoints/last.ckpt").is_file()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_revision_is_of_the_code_and_no_folder_around_it(tmp_path: Path):
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert git_revision(package) is None
    git("init")
    git("commit", "--allow-empty", "-m", "empty")
    assert git_revision(package) is None  # as a package in a virtual environment inside a repository
    git("add", "package")
    git("commit", "-m", "package")
    assert git_revision(package) == {"revision": git("rev-parse", "HEAD"), "changed": False}
    (package / "__init__.py").write_text("changed = True")
    assert git_revision(package) == {"revision": git("rev-parse", "HEAD"), "changed": True}
    git("commit", "-am", "changed")
    (package / "left_over.py").write_text("")  # not tracked: no part of the code
    assert git_revision(package) == {"revision": git("rev-parse", "HEAD"), "changed": False}
