"""`eeg2speech plan`: counts against formulas by hand, memory against a run, and the command on every shipped config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main, plan
from eeg2speech.core.errors import ConfigError
from eeg2speech.models import ViTEncoder
from eeg2speech.planning import Assumptions, Footprint, Run, Work, estimate
from eeg2speech.planning.measure import count_work, measure, without_content

ROOT = Path(__file__).parents[2]
B, C, T, D, DEPTH, RATIO = 3, 8, 320, 32, 2, 2
N = C // 4 * T // 16


ADAMW = "--model.init_args.optimizer={class_path: torch.optim.AdamW, init_args: {lr: 0.001}}"
"""Of a tenth of Muon's operations, for tests of something else."""


def planned(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert plan.run([*argv, "--json", "true"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_encoders_flops_are_those_of_the_formula():
    encoder = ViTEncoder((4, 16), D, DEPTH, 4, RATIO, "sincos2d")
    eeg = without_content(encoder).from_tensor(torch.zeros(B, C, T))
    attention = 2 * 2 * N * N * D  # scores, and the mean of the values
    matrices = 2 * N * (4 * D * D + 2 * RATIO * D * D)  # query, key, value, out; two of the MLP
    embedding = 2 * N * 4 * 16 * D
    forward = B * (DEPTH * (attention + matrices) + embedding)
    assert count_work(lambda: encoder(eeg)).flops == forward
    both = count_work(lambda: encoder(eeg).sum().backward()).flops
    # twice as much backward; nobody asks for the gradient of the EEG
    assert both == 3 * forward - B * embedding


def test_what_is_held_is_what_a_chain_of_layers_holds():
    rows, width = 1000, 64
    chain = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    x = without_content(chain).from_tensor(torch.zeros(rows, width))
    one = rows * width * 4
    with torch.no_grad():
        assert count_work(lambda: chain(x)).peak == 2 * one
    kept = count_work(lambda: chain(x).sum())
    assert one * 2 < kept.peak <= 3 * one + 100
    cost = measure(chain, lambda: chain(x).sum(), lambda: torch.optim.AdamW(chain.parameters()), "32-true")
    assert cost.gradients == cost.weights == 2 * (width + 1) * width * 4
    assert cost.optimizer == 2 * cost.weights + 4 * 4  # and four counters


def test_mixed_precision_holds_less():
    chain = nn.Sequential(*(nn.Linear(64, 64) for _ in range(8)))
    x = without_content(chain).from_tensor(torch.zeros(1000, 64))

    def working(precision: str) -> int:
        return measure(chain, lambda: chain(x).sum(), lambda: torch.optim.SGD(chain.parameters()), precision).working

    assert working("bf16-mixed") < 0.7 * working("32-true")


@pytest.mark.parametrize("optimizer", ["timm.optim.Muon", "torch.optim.AdamW"])
def test_weights_and_optimizer_are_those_of_a_real_run(
    optimizer: str, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    saved = "{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {save_last: true}}"
    given = [
        *(f"--config={ROOT / name}" for name in ("configs/maeeg.yaml", "tests/conf/tiny.yaml")),
        f"--data.store={tiny_store}", f"--run={tmp_path / 'maeeg'}", f"--trainer.callbacks=[{saved}]",
        f"--model.init_args.optimizer={{class_path: {optimizer}, init_args: {{lr: 0.001}}}}",
    ]  # fmt: skip
    cost = planned(capsys, *given)["footprint"]
    assert main(["fit", *given, "--trainer.max_steps=1", "--trainer.limit_val_batches=0"]) == 0
    checkpoint = read_checkpoint(tmp_path / "maeeg/checkpoints/last.ckpt")
    weights = [value for name, value in checkpoint["state_dict"].items() if "nmse" not in name]
    (state,) = checkpoint["optimizer_states"]
    moments = [v for kept in state["state"].values() for v in kept.values() if isinstance(v, torch.Tensor)]
    size: Callable[[list[torch.Tensor]], int] = lambda values: sum(v.numel() * v.element_size() for v in values)  # noqa: E731
    assert cost["weights"] == pytest.approx(size(weights), rel=0.01)
    assert cost["optimizer"] == pytest.approx(size(moments), rel=0.01)


COST = Footprint(
    trained=10**9, frozen=0, weights=4 * 10**9, gradients=4 * 10**9, optimizer=8 * 10**9, working=10**9,
    passes=Work(67 * 10**12, 10**9, 100), update=Work(0, 10**9, 10),
)  # fmt: skip


def test_time_and_gpu_hours_follow_from_the_assumptions():
    assumed = Assumptions(mfu=0.5, latency=0.0)
    one, eight, many = (estimate(COST, Run(batch=4, steps=1800), assumed, count) for count in (1, 8, 64))
    assert one.step == pytest.approx(2.0)  # 67 TFLOP at half of 67 TFLOP/s
    assert one.time_of["communication"] == 0
    assert eight.time_of["communication"] == pytest.approx(7 / 8 * 8 / 450)
    assert many.time_of["communication"] == pytest.approx(63 / 64 * 8 / 25)  # between nodes
    assert many.step == pytest.approx(2.0)  # all of it behind the backward pass
    slow = estimate(COST, Run(batch=4, steps=1800), Assumptions(mfu=0.5, network=1e9, latency=0.0), 64)
    assert slow.step == pytest.approx(2.0 + 63 / 64 * 8 - 4 / 3)
    assert one.gpu_hours == pytest.approx(1.0)
    assert many.gpu_hours == pytest.approx(64.0)
    assert many.windows_per_s == pytest.approx(64 * 4 / 2.0)
    assert estimate(COST, Run(batch=4, steps=1800, accumulated=3), assumed, 1).step == pytest.approx(6.0)
    assert estimate(COST, Run(batch=4, steps=1800, precision="bf16-mixed"), assumed, 1).step < 0.2
    assert estimate(COST, Run(batch=4, steps=None), assumed, 1).gpu_hours is None


def test_memory_adds_up():
    assumed = Assumptions(context=10**9)
    one, eight = (estimate(COST, Run(batch=1, steps=1), assumed, count) for count in (1, 8))
    assert one.memory == 18 * 10**9
    assert eight.memory == 22 * 10**9  # gradients once more, in buckets
    averaged = estimate(COST, Run(batch=1, steps=1, averaged=True), assumed, 1)
    assert averaged.memory == 22 * 10**9


@pytest.mark.parametrize("stage", ["maeeg", "audiomae", "alignment", "diffusion"])
def test_every_shipped_stage_has_a_plan(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)  # where no stage was trained yet
    found = planned(capsys, "--config", str(ROOT / f"configs/{stage}.yaml"))
    assert [row["gpus"] for row in found["estimates"]] == [1, 8, 64]
    assert found["footprint"]["passes"]["flops"] > 10**9
    assert all(row["fits"] and row["step"] > 0 and row["gpu_hours"] > 0 for row in found["estimates"])
    assert any("H100" in line and "40%" in line for line in found["assumptions"])
    assert found["run"]["averaged"] == (stage == "diffusion")
    assert any("an aligner of" in line for line in found["assumptions"]) == (stage == "diffusion")
    assert not list(tmp_path.iterdir())


def test_the_table_names_settings_and_assumptions(capsys: pytest.CaptureFixture[str]):
    given = ["--config", str(ROOT / "configs/maeeg.yaml"), ADAMW, "--gpus", "2", "--gpu", "v100", "--mfu", "0.25"]
    assert plan.run([*given, "--data.batch_size", "32", "--trainer.accumulate_grad_batches", "2"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in (
        "32 windows per GPU",
        "backward x 2 accumulated",
        "GPUs 2",
        "V100",
        "25% are reached",
        "1200 steps",
        "not measured",
    ):
        assert words in printed


def test_flops_grow_with_the_batch_and_the_depth(capsys: pytest.CaptureFixture[str]):
    base = [*(f"--config={ROOT / name}" for name in ("configs/maeeg.yaml", "tests/conf/tiny.yaml")), ADAMW]
    half = planned(capsys, *base, "--data.batch_size", "4")["footprint"]
    whole = planned(capsys, *base)["footprint"]
    deep = planned(capsys, *base, "--model.init_args.encoder.init_args.depth", "4")["footprint"]
    assert whole["passes"]["flops"] == pytest.approx(2 * half["passes"]["flops"], rel=0.001)
    assert whole["weights"] == half["weights"]
    assert deep["passes"]["flops"] > 1.3 * whole["passes"]["flops"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--gpus=0", "gpus=0"),
        ("--gpus=many", "--gpus 1,8,64"),
        ("--mfu=40", "mfu=40.0"),
        ("--network=-1", "--network"),
        ("--data.store=nowhere", "nowhere"),
        ("--data.window=0.7", "data.window"),
    ],
)
def test_mistakes_are_named(option: str, words: str):
    with pytest.raises(ConfigError if "store" not in option else Exception, match=words):
        plan.run(["--config", str(ROOT / "configs/maeeg.yaml"), option])
