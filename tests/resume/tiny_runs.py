"""Words of tiny runs in other processes, and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eeg2speech.checkpoints.parts import read_checkpoint

ROOT = Path(__file__).parents[2]
STAGES = {
    "maeeg": ("configs/maeeg.yaml", "tests/conf/tiny.yaml"),
    "diffusion": ("configs/diffusion.yaml", "tests/conf/tiny_diffusion.yaml"),
    "alignment": ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml"),
}
TWO_RANKS = ("--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=4")


def fit(stage: str, store: Path, folder: Path, *more: str) -> list[str]:
    configs = [f"--config={ROOT / name}" for name in (*STAGES[stage], "tests/resume/resume.yaml")]
    return ["fit", *configs, f"--data.store={store}", f"--run={folder}", *more]


def last(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / "checkpoints/last.ckpt")


def log(folder: Path) -> str:
    return "".join(file.read_text()[-3000:] for file in sorted(folder.glob("log.*")))
