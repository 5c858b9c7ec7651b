"""Trainings that cannot learn are refused with the reason, before the first step."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import pytest

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.tasks import MAEEGTask
from tests.tiny_stores import write_store

ROOT = Path(__file__).parents[2]
TINY = {"maeeg": "tiny", "alignment": "tiny_alignment", "audiomae": "tiny_audio"}


def refused(stage: str, store: Path, run: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The line that a fit ends with."""
    overlay = ROOT / f"tests/conf/{TINY[stage]}.yaml"
    words = ["--config", stage, "--config", str(overlay), "--data.store", str(store), "--run", str(run)]
    assert main(["fit", *words, *more]) == 1
    assert not (run / "checkpoints").exists()
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "loss", [[], ["--model.init_args.loss", "eeg2speech.losses.SigLIP"]], ids=["InfoNCE", "SigLIP"]
)
def test_an_alignment_of_batches_of_one_is_refused(
    loss: list[str], tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    line = refused("alignment", tiny_store, tmp_path / "run", capsys, "--data.batch_size", "1", *loss)
    assert line.startswith("error: batch_size=1 gives a window no other sound to compare with")


def test_an_alignment_to_a_single_sound_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = write_store(tmp_path / "store", stimuli=1, seconds=4)
    whole = ["--data.split.by", "subject", "--data.split.val_subjects", "1", "--data.window", "4"]
    line = refused("alignment", store, tmp_path / "run", capsys, *whole)
    assert line.startswith("error: all training windows have the same sound")


def test_one_story_of_many_windows_can_be_aligned(tmp_path: Path):
    store = write_store(tmp_path / "store", stimuli=1, seconds=8)
    overlay = ROOT / "tests/conf/tiny_alignment.yaml"
    words = ["--config", "alignment", "--config", str(overlay), "--data.store", str(store)]
    words += ["--data.split.by", "subject", "--data.split.val_subjects", "1", "--trainer.callbacks", "[]"]
    words += ["--run", str(tmp_path / "run")]
    assert main(["fit", *words, "--trainer.max_steps=1", "--trainer.limit_val_batches=0"]) == 0


@pytest.mark.parametrize("stage", ["alignment", "audiomae"])
def test_stages_with_sound_refuse_a_store_without(stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = write_store(tmp_path / "store", stimuli=2)
    for file in (store / "audio").iterdir():
        file.unlink()
    line = refused(stage, store, tmp_path / "run", capsys)
    assert "no sound for any of its 8 segments" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--trainer.max_steps=0"], "max_steps=0 must be above 0 to train"),
        (["--trainer.max_epochs=0"], "max_epochs=0 must be"),
        (["--trainer.limit_train_batches=0"], "limit_train_batches=0 must be"),
        (["--trainer.val_check_interval=0"], "val_check_interval=0 must be"),
        (["--trainer.accumulate_grad_batches=0"], "accumulate_grad_batches=0 must be"),
        (["--trainer.gradient_clip_val=-1"], "gradient_clip_val=-1 would reverse gradients"),
        (["--trainer.precision=bf16-true"], "precision=bf16-true is not supported; use 32-true, bf16-mixed or"),
        (["--trainer.precision=64"], "precision=64-true is not supported"),
        (["--trainer.accelerator=tpu"], "torch_xla"),
        (["--model.init_args.optimizer.init_args.lr=0"], "lr=0 must be above 0 to train"),
        (["--model.init_args.optimizer.init_args.lr=-1"], "Invalid learning rate: -1.0 (model.optimizer)"),
        (["--model.init_args.warmup=-0.1"], "warmup=-0.1 is not a share"),
        (["--model.init_args.warmup=3"], "warmup=3.0 is not a share"),
        (["--model.init_args.reference_batch=-1"], "reference_batch=-1 is below 0"),
    ],
    ids=lambda found: found[0] if isinstance(found, list) else "",
)
def test_settings_that_train_nothing_are_refused(
    words: list[str], expected: str, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert expected in refused("maeeg", tiny_store, tmp_path / "run", capsys, *words)


def test_a_model_whose_every_weight_is_frozen_is_refused(monkeypatch: pytest.MonkeyPatch):
    task = object.__new__(MAEEGTask)
    monkeypatch.setattr(MAEEGTask, "trainer", pl.Trainer(max_steps=1, logger=False, enable_checkpointing=False))
    monkeypatch.setattr("eeg2speech.tasks.base.decay_groups", lambda *_: [])
    with pytest.raises(ConfigError, match="all weights are frozen"):
        task.configure_optimizers()
