"""Training on two devices, as `--trainer.devices 2` starts it: processes that share nothing but gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.cli import main

ROOT = Path(__file__).parents[1]


def options(store: Path, *more: str) -> list[str]:
    configs = [f"--config={ROOT / name}" for name in ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml")]
    settings = "{lr: 0.1, nesterov: false, weight_decay: 0.0}"
    sgd = f"--model.init_args.optimizer={{class_path: torch.optim.SGD, init_args: {settings}}}"
    return ["fit", *configs, f"--data.store={store}", "--trainer.max_steps=4", sgd, *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    assert (run / "encoder/config.json").is_file()
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def on_two(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eeg2speech", *words, "--trainer.devices=2", "--trainer.strategy=ddp"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_devices_train_what_one_trains_with_the_whole_batch(tmp_path: Path, tiny_store: Path):
    runs = {name: tmp_path / name for name in ("one", "two", "start")}
    assert main(options(tiny_store, "--data.batch_size=8", f"--run={runs['one']}")) == 0
    assert main(options(tiny_store, "--model.init_args.optimizer.init_args.lr=1e-30", f"--run={runs['start']}")) == 0
    two_devices = ("--data.batch_size=4", f"--run={runs['two']}")
    on_two(tmp_path, *options(tiny_store, *two_devices))
    one, two, start = (weights(run) for run in runs.values())
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=1e-4, msg=name)
    moved = sum(not torch.allclose(one[name], start[name], atol=1e-4, rtol=1e-3) for name in one)
    assert moved > 10


@pytest.mark.slow
def test_a_loss_counts_every_window_alike_where_devices_have_different_numbers(tmp_path: Path, tiny_store: Path):
    configs = [f"--config={ROOT / name}" for name in ("configs/maeeg.yaml", "tests/conf/tiny.yaml")]
    of_15 = ["--data.window=0.8", "--data.batch_size=3"]
    common = ["validate", *configs, f"--data.store={tiny_store}", *of_15]
    assert main([*common, f"--run={tmp_path / 'one'}"]) == 0
    on_two(tmp_path, *common, f"--run={tmp_path / 'two'}")
    found = []
    for name in ("one", "two"):
        events = EventAccumulator(str(tmp_path / name))
        events.Reload()
        found.append(events.Scalars("val/loss")[-1].value)
    assert found[1] == pytest.approx(found[0], rel=1e-5)
