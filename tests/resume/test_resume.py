"""Killed at any moment and resumed, a run ends with the weights and the optimizer of one that was left alone."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from audioldm2_tiny import write_tiny
from forked import run
from tiny_runs import TWO_RANKS, fit, last, log

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.models import SpectrogramViT

KILLS = ((4, "validated"), (5, "gradients"), (6, "forward"), (8, "writing"), (8, "validating"), (9, "stepped"))


def killed_at(step: int, moment: str, rank: int = 0) -> str:
    settings = f"{{step: {step}, moment: {moment}, rank: {rank}}}"
    return f"--trainer.callbacks+={{class_path: kill_callback.KillAt, init_args: {settings}}}"


def differing(first: Any, second: Any, name: str = "") -> list[str]:
    """Names of what is not bit for bit the same."""
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) and first.dtype == second.dtype else [name]
    if isinstance(first, dict):
        assert first.keys() == second.keys(), name
        return [wrong for key in first for wrong in differing(first[key], second[key], f"{name}.{key}")]
    if isinstance(first, list | tuple):
        assert len(first) == len(second), name
        return [w for i, (a, b) in enumerate(zip(first, second, strict=True)) for w in differing(a, b, f"{name}.{i}")]
    return [] if first == second else [name]


def assert_same(whole: Path, resumed: Path, *more: str) -> None:
    ours, theirs = last(whole), last(resumed)
    for key in ("global_step", "state_dict", "optimizer_states", "lr_schedulers", *more):
        assert not differing(ours[key], theirs[key], key)


@pytest.fixture(scope="module", autouse=True)
def _single_threads(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def case(stage: str, what: str, *options: str, ranks: int = 1, fast: bool = False) -> Any:
    return pytest.param(stage, options, ranks, id=f"{stage}, {what}", marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize(
    ("stage", "options", "ranks"),
    [
        case("maeeg", "one process", fast=True),
        case("maeeg", "two workers", "--data.workers=2"),
        case("maeeg", "accumulation", "--trainer.accumulate_grad_batches=2"),
        case("maeeg", "two ranks", *TWO_RANKS, ranks=2),
        case("maeeg", "two ranks, workers, accumulation", *TWO_RANKS, "--data.workers=1",
             "--trainer.accumulate_grad_batches=2", ranks=2),
        case("alignment", "one process"),
        case("alignment", "two workers", "--data.workers=2"),
        case("alignment", "accumulation", "--trainer.accumulate_grad_batches=2"),
        case("alignment", "two ranks", *TWO_RANKS, ranks=2),
    ],
)  # fmt: skip
def test_a_killed_run_is_repeated_bit_for_bit(
    stage: str, options: tuple[str, ...], ranks: int, tiny_store: Path, tmp_path: Path
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(fit(stage, tiny_store, whole, *options), tmp_path / "log", ranks) == [0] * ranks, log(tmp_path)
    for step, moment in KILLS:
        go_on = ("--ckpt_path=last",) if (cut / "checkpoints/last.ckpt").exists() else ()
        rank = 0 if moment == "writing" else ranks - 1  # the first writes
        settings = fit(stage, tiny_store, cut, *options, killed_at(step, moment, rank), *go_on)
        died = run(settings, tmp_path / "log", ranks)
        assert died[rank] == -9, (step, moment, log(tmp_path))
    assert run(fit(stage, tiny_store, cut, *options, "--ckpt_path=last"), tmp_path / "log", ranks) == [0] * ranks
    assert_same(whole, cut)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_checkpoint_in_the_middle_of_an_accumulated_step_is_exact(ranks: int, tiny_store: Path, tmp_path: Path):
    options = [*(TWO_RANKS if ranks == 2 else ()), "--trainer.accumulate_grad_batches=2", "--trainer.max_steps=4"]
    options.append("--trainer.val_check_interval=3")  # batches: in the second step
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(fit("maeeg", tiny_store, whole, *options), tmp_path / "log", ranks) == [0] * ranks, log(tmp_path)
    run(fit("maeeg", tiny_store, cut, *options, killed_at(2, "forward")), tmp_path / "log", ranks)
    assert last(cut)["global_step"] == 1
    assert len(last(cut)["accumulated_gradients"]) == ranks
    assert run(fit("maeeg", tiny_store, cut, *options, "--ckpt_path=last"), tmp_path / "log", ranks) == [0] * ranks
    assert "accumulated_gradients" not in last(whole)
    assert_same(whole, cut)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_kills_at_random_moments_lose_nothing(ranks: int, tiny_store: Path, tmp_path: Path):
    options = TWO_RANKS if ranks == 2 else ()
    started = time.monotonic()
    assert run(fit("maeeg", tiny_store, tmp_path / "whole", *options), tmp_path / "log", ranks) == [0] * ranks
    took = time.monotonic() - started
    random, cut = Random(ranks), fit("maeeg", tiny_store, tmp_path / "cut", *options, "--ckpt_path=auto")
    died = [run(cut, tmp_path / "log", ranks, kill_after=random.uniform(0.1, took)) for _ in range(8)]
    assert [-9] * ranks in died, died
    assert run(cut, tmp_path / "log", ranks) == [0] * ranks, log(tmp_path)
    assert_same(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_stage_3_is_repeated_bit_for_bit(ranks: int, tiny_store: Path, tmp_path: Path):
    stage2, log_file = tmp_path / "alignment", tmp_path / "log"
    export = "--trainer.callbacks+={class_path: eeg2speech.training.ExportEncoder}"
    assert run(fit("alignment", tiny_store, stage2, "--trainer.max_steps=4", export), log_file) == [0], log(tmp_path)
    torch.manual_seed(0)
    encoder = SpectrogramViT(width=16, depth=1, heads=2).encoder
    described = {"class": "ViTEncoder", "config": encoder.config}
    write_export(tmp_path / "audio", {"encoder": Part(described, dict(encoder.state_dict()))}, {}, {})
    options = [
        f"--model.init_args.components={write_tiny(tmp_path / 'components')}",
        f"--model.init_args.audio_weights={tmp_path / 'audio'}",
        f"--model.init_args.aligner={stage2 / 'aligner'}",
        "--model.init_args.encoder_lr_scale=0.1",
        "--trainer.callbacks+={class_path: eeg2speech.training.AverageTrained}",
    ]
    options += TWO_RANKS if ranks == 2 else ()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(fit("diffusion", tiny_store, whole, *options), log_file, ranks) == [0] * ranks, log(tmp_path)
    for step, moment in ((5, "gradients"), (8, "writing"), (9, "stepped")):
        go_on = ("--ckpt_path=last",) if (cut / "checkpoints/last.ckpt").exists() else ()
        died = run(fit("diffusion", tiny_store, cut, *options, killed_at(step, moment), *go_on), log_file, ranks)
        assert died[0] == -9, log(tmp_path)
    again = run(fit("diffusion", tiny_store, cut, *options, "--ckpt_path=last"), log_file, ranks)
    assert again == [0] * ranks, log(tmp_path)
    assert_same(whole, cut, "trained_weights")
