"""Stage 3 with its weights dealt out to two processes: as if they were not, and files are those of any other run."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from audioldm2_tiny import write_tiny
from forked import run

from eeg2speech.checkpoint import read_checkpoint, read_part
from eeg2speech.exports import Part, write_export
from eeg2speech.models import SpectrogramViT
from eeg2speech.models.audioldm2.rebuild import rebuild_speech

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "maeeg": ("configs/maeeg.yaml", "tests/conf/tiny.yaml"),
    "diffusion": ("configs/diffusion.yaml", "tests/conf/tiny_diffusion.yaml"),
    "alignment": ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml"),
}
SGD = "--model.init_args.optimizer={class_path: torch.optim.SGD, init_args: {lr: 0.05, momentum: 0.9}}"
CALLBACKS = (
    "--trainer.callbacks+={class_path: eeg2speech.callbacks.AverageTrained}",
    "--trainer.callbacks+={class_path: weighing.WeighTraining}",
)
SLOW = 400
"""Seconds: every exchange between two processes waits for both to have a core."""
DDP = ("--trainer.strategy=ddp", "--trainer.devices=2")
FSDP = (f"--trainer={ROOT / 'configs/trainer/fsdp.yaml'}", "--trainer.accelerator=cpu", "--trainer.devices=2")


@pytest.fixture(scope="module", autouse=True)
def _single_threads() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def parts(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name the store, an aligner of stage 2, components and an audio encoder."""
    folder = tmp_path_factory.mktemp("parts")
    configs = [f"--config={ROOT / name}" for name in (*CONFIGS["alignment"], "tests/resume/resume.yaml")]
    export = "--trainer.callbacks+={class_path: eeg2speech.callbacks.ExportEncoder}"
    stage2 = [f"--data.store={tiny_store}", f"--run={folder / 'alignment'}", "--trainer.max_steps=2", export]
    assert run(["fit", *configs, *stage2, "--data.window=0.8"], folder / "log", kill_after=SLOW) == [0], log(folder)
    torch.manual_seed(0)
    encoder = SpectrogramViT(width=16, depth=1, heads=2).encoder
    described = {"class": "ViTEncoder", "config": encoder.config}
    write_export(folder / "audio", {"encoder": Part(described, dict(encoder.state_dict()))}, {}, {})
    return [
        f"--data.store={tiny_store}",
        f"--model.init_args.components={write_tiny(folder / 'components', 'general')}",
        f"--model.init_args.audio_weights={folder / 'audio'}",
        f"--model.init_args.aligner={folder / 'alignment/aligner'}",
        "--model.init_args.encoder_rate=0.1",
        "--model.init_args.thaw=0.3",
        "--data.window=0.8",
        "--data.batch_size=7",  # 15 windows to validate with: one rank has a batch more than the other
    ]


def fit(parts: list[str], folder: Path, *more: str) -> list[str]:
    configs = [f"--config={ROOT / name}" for name in (*CONFIGS["diffusion"], "tests/resume/resume.yaml")]
    steps = ("--trainer.max_steps=6", "--trainer.val_check_interval=3", *CALLBACKS)
    return ["fit", *configs, *parts, f"--run={folder}", *steps, *more]


def told_to_leave(step: int) -> str:
    settings = f"{{step: {step}, moment: forward, rank: 1, number: {int(signal.SIGTERM)}}}"
    return f"--trainer.callbacks+={{class_path: killing.KillAt, init_args: {settings}}}"


def two(words: list[str], folder: Path, status: int = 0) -> None:
    assert run(words, folder / "log", 2, kill_after=SLOW) == [status] * 2, log(folder)


def log(folder: Path) -> str:
    return "".join(file.read_text()[-5000:] for file in sorted(folder.glob("log.*")))


def last(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / "checkpoints/last.ckpt")


def said(folder: Path, name: str, ranks: int = 2) -> list[dict[str, float]]:
    return [json.loads((folder / f"{name}.{ranks}.{rank}").read_text()) for rank in range(ranks)]


def apart(first: Any, second: Any) -> float:
    """Largest difference of numbers in two structures that are otherwise the same."""
    if isinstance(first, torch.Tensor):
        assert first.shape == second.shape
        return float((first.double() - second.double()).abs().max()) if first.numel() else 0.0
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        return max((apart(first[key], second[key]) for key in first), default=0.0)
    if isinstance(first, list | tuple):
        assert len(first) == len(second)
        return max((apart(a, b) for a, b in zip(first, second, strict=True)), default=0.0)
    assert first == pytest.approx(second, abs=1e-6)
    return 0.0


def all_apart(first: Path, second: Path) -> float:
    ours, theirs = last(first), last(second)
    assert ours["global_step"] == theirs["global_step"] == 6
    return max(apart(ours[key], theirs[key]) for key in ("state_dict", "trained_weights", "optimizer_states"))


ALL = (SGD, "--model.init_args.trainable=all")
LORA = (SGD, "--model.init_args.trainable=lora", "--model.init_args.checkpointing=true", "--model.init_args.control=2")


@pytest.fixture(scope="module")
def whole(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs on two ranks, with weights copied and with weights dealt out."""
    folder = tmp_path_factory.mktemp("whole")
    for name, strategy in (("ddp", DDP), ("fsdp", FSDP)):
        two(fit(parts, folder / name, *ALL, *strategy), folder)
    return {name: folder / name for name in ("ddp", "fsdp")}


@pytest.mark.slow
def test_weights_are_those_of_a_run_that_copies_them(whole: dict[str, Path]):
    assert all_apart(whole["fsdp"], whole["ddp"]) < 1e-5
    ours, theirs = (said(whole[name], "metrics") for name in ("fsdp", "ddp"))
    assert [found["batches"] for found in ours] == [2, 1]
    for name in ("val/loss", "train/grad_norm"):
        assert ours[0][name] == pytest.approx(theirs[0][name], rel=1e-5)


@pytest.mark.slow
def test_each_rank_holds_half(whole: dict[str, Path]):
    for ours, theirs in zip(said(whole["fsdp"], "bytes"), said(whole["ddp"], "bytes"), strict=True):
        for name, held in theirs.items():
            assert ours[name] == pytest.approx(held / 2, rel=0.05), name


@pytest.mark.slow
def test_one_device_reads_what_two_ranks_wrote(whole: dict[str, Path], parts: list[str], tmp_path: Path):
    folder = tmp_path / "alone"
    shutil.copytree(whole["fsdp"], folder)
    _, *words = (word for word in fit(parts, folder, *ALL) if "max_steps" not in word)
    assert run(["validate", *words, "--ckpt_path=last"], tmp_path / "log", kill_after=SLOW) == [0], log(tmp_path)
    alone, both = said(folder, "metrics", 1)[0], said(whole["fsdp"], "metrics")[0]
    # the rest of the loss is relative to the variance in a batch, and batches are others
    assert alone["val/diffusion"] == pytest.approx(both["val/diffusion"], rel=1e-5)
    described, weights, _ = read_part(folder / "checkpoints/best.ckpt", "speech")
    rebuild_speech(described, weights, str(folder))


@pytest.mark.slow
def test_it_leaves_and_goes_on_wherever(whole: dict[str, Path], parts: list[str], tmp_path: Path):
    cut = tmp_path / "cut"
    two(fit(parts, cut, *ALL, *FSDP, told_to_leave(3)), tmp_path, status=75)
    assert read_checkpoint(cut / "checkpoints/preempted.ckpt")["global_step"] == 4
    for name, more in (("fsdp", FSDP), ("ddp", DDP)):
        shutil.copytree(cut, tmp_path / name)
        two(fit(parts, tmp_path / name, *ALL, *more, "--ckpt_path=auto"), tmp_path)
        assert all_apart(tmp_path / name, whole["fsdp"]) < (1e-7 if name == "fsdp" else 1e-5)
    words = fit(parts, cut, *ALL, "--ckpt_path=auto")
    assert run(words, tmp_path / "log", kill_after=SLOW) == [0], log(tmp_path)
    assert last(cut)["global_step"] == 6


@pytest.mark.slow
def test_adapters_and_recomputed_activations(parts: list[str], tmp_path: Path):
    for name, strategy in (("ddp", DDP), ("fsdp", FSDP)):
        two(fit(parts, tmp_path / name, *LORA, *strategy), tmp_path)
    assert all_apart(tmp_path / "ddp", tmp_path / "fsdp") < 1e-5


@pytest.mark.slow
def test_other_stages_say_that_they_cannot(tiny_store: Path, tmp_path: Path):
    configs = [f"--config={ROOT / name}" for name in CONFIGS["maeeg"]]
    words = ["fit", *configs, f"--data.store={tiny_store}", f"--run={tmp_path / 'run'}", *FSDP]
    assert run([*words, "--trainer.devices=1"], tmp_path / "log", kill_after=SLOW) != [0]
    assert "the weights of MAEEGTask cannot be dealt out" in log(tmp_path)
