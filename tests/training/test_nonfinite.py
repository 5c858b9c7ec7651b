"""A step that is not finite costs a step, not the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main

ROOT = Path(__file__).parents[2]
STAGES = sorted((ROOT / "configs").glob("*.yaml"))
OVERLAY = """
trainer:
  callbacks:
  - class_path: eeg2speech.training.StepSeed
  - class_path: eeg2speech.training.SkipNonFinite
    init_args: {most: 3, kept: 2}
  - class_path: eeg2speech.training.AtomicCheckpoint
    init_args: {monitor: val/nmse, filename: best, save_last: true, enable_version_counter: false}
"""


def fit(store: Path, tmp_path: Path, name: str, *more: str, overlay: str = OVERLAY) -> int:
    file = tmp_path / "overlay.yaml"
    file.write_text(overlay)
    configs = [f"--config={path}" for path in (ROOT / "configs/maeeg.yaml", ROOT / "tests/conf/tiny.yaml", file)]
    return main(["fit", *configs, f"--data.store={store}", f"--run={tmp_path / name}", *more])


def poison(steps: list[int], what: str) -> str:
    settings = f"{{steps: {steps}, what: {what}}}"
    return f"--trainer.callbacks+={{class_path: tests.training.poison.Poison, init_args: {settings}}}"


def last(tmp_path: Path, name: str) -> dict[str, Any]:
    return read_checkpoint(tmp_path / name / "checkpoints/last.ckpt")


def test_a_finite_run_is_the_same_with_and_without(tiny_store: Path, tmp_path: Path):
    content = yaml.safe_load(OVERLAY)
    del content["trainer"]["callbacks"][1]
    assert fit(tiny_store, tmp_path, "with") == 0
    assert fit(tiny_store, tmp_path, "without", overlay=yaml.safe_dump(content)) == 0
    ours, theirs = last(tmp_path, "with"), last(tmp_path, "without")
    for name, value in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][name], value), name
    first, second = ours["optimizer_states"][0]["state"], theirs["optimizer_states"][0]["state"]
    assert first
    for index, state in second.items():
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(first[index][name]), torch.as_tensor(value)), name


@pytest.mark.parametrize("what", ["eeg", "gradient"])
def test_what_is_not_finite_changes_nothing_and_is_counted(what: str, tiny_store: Path, tmp_path: Path):
    with pytest.warns(UserWarning, match="is skipped"):
        assert fit(tiny_store, tmp_path, "run", poison([2, 3, 5], what)) == 0  # 2: a step that logs
    kept = sorted((tmp_path / "run/nonfinite").glob("*")) if what == "eeg" else []
    assert [file.name for file in kept] == ["step2-rank0-0.safetensors", "step3-rank0-0.safetensors"][: len(kept)]
    for file in kept:
        batch = load_file(file)
        assert batch["eeg"][1].isnan().all()
        assert batch["eeg"][0].isfinite().all()
        assert batch["recording"].dtype == torch.int64
    assert len(kept) == (2 if what == "eeg" else 0)
    assert all(value.isfinite().all() for value in last(tmp_path, "run")["state_dict"].values())


def test_too_many_in_a_row_end_it_and_name_recordings(
    tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.warns(UserWarning, match="is skipped"):
        assert fit(tiny_store, tmp_path, "run", poison([1, 4, 5, 6, 7], "eeg")) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    for words in ("3 steps in a row", "up to step 6", "windows of sub-0", str(tmp_path / "run/nonfinite"), "lr"):
        assert words in error
    assert last(tmp_path, "run")["global_step"] == 4


def test_a_full_disk_does_not_end_a_run_that_skips(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="is skipped"), pytest.warns(UserWarning, match="the batch is not written"):
        assert fit(tiny_store, tmp_path, "run", poison([2], "eeg")) == 0


def test_every_stage_clips_gradients_skips_and_saves_soundly():
    shared = yaml.safe_load((ROOT / "configs/parts/trainer.yaml").read_text())
    assert shared["gradient_clip_val"] == 1.0
    for file in STAGES:
        trainer = yaml.safe_load(file.read_text())["trainer"]
        assert "callbacks" not in trainer  # which would replace the shared ones
        names = [callback["class_path"].rpartition(".")[2] for callback in shared["callbacks"] + trainer["callbacks+"]]
        assert {"SkipNonFinite", "AtomicCheckpoint", "StepSeed"} <= set(names)
        assert len(names) == len(set(names))


@pytest.mark.parametrize("setting", ["most: 0", "kept: -1"])
def test_settings_out_of_range_are_named(
    setting: str, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert fit(tiny_store, tmp_path, "run", overlay=OVERLAY.replace("most: 3, kept: 2", setting)) == 1
    assert "SkipNonFinite" in capsys.readouterr().err
