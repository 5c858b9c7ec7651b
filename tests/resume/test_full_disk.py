"""What is on the disk after a save that failed."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main
from eeg2speech.core.files import write_json
from eeg2speech.training import atomic_checkpoint_io, run_logger
from eeg2speech.training.atomic_checkpoint_io import AtomicCheckpointIO
from eeg2speech.training.run_logger import RunLogger

ROOT = Path(__file__).parents[2]


def content(step: int, size: int = 10) -> dict[str, Any]:
    return {"state_dict": {"weight": torch.full((size,), float(step))}, "global_step": step}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_full_disk_keeps_the_last_good_one(small_disk: Path):
    io = AtomicCheckpointIO()
    io.save_checkpoint(content(1), small_disk / "last.ckpt")
    with pytest.warns(UserWarning, match="No space left on device.*the earlier one is kept; training goes on"):
        io.save_checkpoint(content(2, 10**6), small_disk / "last.ckpt")
    assert io.failed
    assert read_checkpoint(small_disk / "last.ckpt")["global_step"] == 1
    assert names(small_disk) == ["last.ckpt"]
    io.remove_checkpoint(small_disk / "last.ckpt")  # as Lightning does where names hold the step
    assert names(small_disk) == ["last.ckpt"]
    io.save_checkpoint(content(3), small_disk / "other.ckpt")
    io.remove_checkpoint(small_disk / "last.ckpt")
    assert names(small_disk) == ["other.ckpt"]
    assert (io.failed, io.failures) == (False, 1)


def test_a_first_save_that_fails_leaves_nothing(small_disk: Path):
    with pytest.warns(UserWarning, match="there is none of that name yet"):
        AtomicCheckpointIO().save_checkpoint(content(1, 10**6), small_disk / "last.ckpt")
    assert names(small_disk) == []


def test_other_errors_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(atomic_checkpoint_io.torch, "save", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        AtomicCheckpointIO().save_checkpoint(content(1), tmp_path / "last.ckpt")


class Scores(Callback):
    """Lets ``val/score`` take given values, one a validation."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_validation_end(self, trainer, pl_module) -> None:
        index = trainer.global_step // 4 - 1
        trainer.callback_metrics["val/score"] = torch.tensor(self.values[index])


def test_a_run_survives_a_full_disk_and_keeps_what_is_better(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = torch.save

    def full_at_step_8(what: dict[str, Any], stream: Any) -> None:
        if what["global_step"] == 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(what, stream)

    monkeypatch.setattr(atomic_checkpoint_io.torch, "save", full_at_step_8)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"""
trainer:
  max_steps: 18
  callbacks:
  - class_path: {Scores.__module__}.Scores
    init_args: {{values: [5.0, 1.0, 3.0, 4.0]}}
  - class_path: eeg2speech.training.AtomicCheckpoint
    init_args: {{monitor: val/score, filename: best, save_last: true, enable_version_counter: false}}
""")
    configs = [f"--config={path}" for path in (ROOT / "configs/maeeg.yaml", ROOT / "tests/conf/tiny.yaml", overlay)]
    with pytest.warns(UserWarning, match="not saved"):
        assert main(["fit", *configs, f"--data.store={tiny_store}", f"--run={tmp_path / 'run'}"]) == 0
    folder = tmp_path / "run/checkpoints"
    assert names(folder) == ["best.ckpt", "last.ckpt"]
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == 18  # although the best was long before
    best = read_checkpoint(folder / "best.ckpt")
    assert best["global_step"] == 12  # 3.0: worse than what was lost, better than the file of step 4
    (state,) = [value for key, value in best["callbacks"].items() if key.startswith("ModelCheckpoint")]
    assert state["best_model_score"] == 3.0


def test_events_that_do_not_fit_are_left_out_alone(small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    logger = RunLogger(small_disk / "run")
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.experiment.flush()
    (small_disk / "other").write_bytes(b"0" * 900_000)
    told: list[str] = []
    monkeypatch.setattr(run_logger, "rank_zero_warn", told.append)
    for step in range(2, 5):
        logger.experiment.add_text("long", "x" * 300_000, step)
        logger.experiment.flush()
    logger.save()
    (line,) = told
    assert "run/: some logs for TensorBoard are lost (No space left on device)" in line
    (small_disk / "other").unlink()
    logger.log_metrics({"loss": 5.0}, step=5)
    logger.finalize("success")
    events = EventAccumulator(str(small_disk / "run"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 1.0), (5, 5.0)]


def test_a_training_whose_end_is_not_written_ends_with_an_error(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(what: dict[str, Any], stream: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_checkpoint_io.torch, "save", full)
    configs = [f"--config={ROOT / f'{name}.yaml'}" for name in ("configs/maeeg", "tests/conf/tiny", "tests/conf/bare")]
    with pytest.warns(UserWarning, match="not saved"):
        assert main(["fit", *configs, f"--data.store={tiny_store}", f"--run={tmp_path / 'run'}"]) == 1
    assert "checkpoints: the end of the training could not be saved; free some space" in capsys.readouterr().err


def test_a_file_that_does_not_fit_is_named(small_disk: Path):
    (small_disk / "test.json").write_text("earlier")
    with pytest.raises(OSError, match=r"No space left on device: '.*/test\.json'"):
        write_json(small_disk / "test.json", ["0" * 2_000_000])
    assert names(small_disk) == ["test.json"]
    assert (small_disk / "test.json").read_text() == "earlier"
