"""Run folders as fit and test leave them, with figures that are made up and known."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from torch.utils.tensorboard import SummaryWriter

from eeg2speech.plotting import Figure


def figure(value: float, chance: float = 0.1) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "chance": chance}


def png() -> bytes:
    stream = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(stream, format="png", dpi=20)
    return stream.getvalue()


def alignment_test(aligned: bool = True, simulated: bool = True) -> dict[str, Any]:
    mrr = 0.8 if aligned else 0.12
    row = {"mrr": figure(mrr), "top1": figure(0.7), "top10": figure(0.9), "median_rank": figure(2.0, 40.0)}
    null = {"low": 0.07, "high": 0.18, "percentile_99": 0.193, "permutations": 1000, "observed": mrr, "p": 0.001}
    verdict = {"aligned": aligned, "p": 0.001, "reasons": ["MRR 0.800 exceeds everything" if aligned else "too low"]}
    person = {"subject": "sub-07", "direction": "eeg_to_sound", "gallery": None, "size": 85.0, "windows": 85, **row}
    part = {
        "verdict": verdict, "windows": 595, "gallery": 85, "permutations": {"mrr": null, "top10": null},
        "figures": {"model": row, "cca own": row}, "controls, mrr": {"noise": figure(0.057), "zeros": figure(0.061)},
        "retrieval": [{**person, "subject": None}, person],
        "lag curve, mrr": {"-0.10": figure(0.02), "+0.00": figure(mrr), "+0.10": figure(0.03)},
    }  # fmt: skip
    found = {"measure": "retrieval", "verdict": {"list": "unseen_stimulus"}, "lists": {"unseen_stimulus": part}}
    return _test(simulated) | {"alignment": found}


def speech_test(simulated: bool = True) -> dict[str, Any]:
    null = {"null_low": 0.05, "null_high": 0.17, "percentile_99": 0.192, "p": 0.001, "permutations": 1000}
    arms = {"truth": 1.0, "loa": 0.99, "eeg": 0.27, "noise": 0.06}
    part = {
        "windows": 45, "gallery": 85, "stimuli": 9, "stimuli of the pretrained parts": [],
        "identification": {arm: {"10": figure(value) | null} for arm, value in arms.items()},
        "quality": {arm: {"mel_corr": figure(value)} for arm, value in arms.items()},
        "frechet": {arm: {"value": 1.5} for arm in arms},
        "verdict": {"informed": True, "way": 10, "p": 0.001, "figure": figure(0.27), "reasons": ["0.27 exceeds"]},
    }  # fmt: skip
    found = {
        "measure": "identification", "left out": {"pesq": "not installed"}, "verdict": {"list": "unseen_stimulus"},
        "lists": {"unseen_stimulus": part},
    }  # fmt: skip
    return _test(simulated) | {"diffusion": found}


def reconstruction_test(simulated: bool = True) -> dict[str, Any]:
    rows = {
        "MAEEG": {"nmse": 0.3, "low": 0.28, "high": 0.32}, "kriging": {"nmse": 0.5, "low": 0.45, "high": 0.55},
        "mean": {"nmse": 1.0, "low": 1.0, "high": 1.0},
    }  # fmt: skip
    other = rows | {"kriging": {"nmse": 0.2, "low": 0.19, "high": 0.21}}
    lists = {"unseen_both": other, "unseen_stimulus": rows}
    return _test(simulated) | {"reconstruction": {"measure": "NMSE", "lists": lists}}


def _test(simulated: bool) -> dict[str, Any]:
    windows = {"train": 1000, "val": 50, "unseen_stimulus": 595}
    return {"eeg2speech": "0.1.0", "data": "demo", "simulated": simulated, "windows": windows, "metrics": {}}


def make_run(folder: Path, task: str, test: dict[str, Any] | None, store: str | None = None) -> Path:
    """A run with a config, TensorBoard events and, if given, a test."""
    folder.mkdir(parents=True)
    config = {
        "seed_everything": 3,
        "trainer": {"max_steps": 40},
        "model": {"class_path": f"eeg2speech.tasks.{task}", "init_args": {"encoder_weights": "runs/maeeg/encoder"}},
        "data": {"store": store, "window": 3.2, "batch_size": 8, "simulation": {"subjects": 8, "snr": -20.0}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if test is not None:
        (folder / "test.json").write_text(json.dumps(test))
    with SummaryWriter(str(folder)) as writer:
        for step in (10, 20, 30, 40):
            writer.add_scalar("train/loss", 1 / step, step)
            writer.add_scalar("lr/pg1", 0.01, step)
        writer.add_scalar("val/loss", 0.5, 40)
        writer.add_image("val/reconstruction", np.random.default_rng(0).random((3, 20, 30)), 40)
    return folder


def add_pictures(folder: Path, *names: str) -> None:
    (folder / "pictures").mkdir()
    for name in names:
        (folder / "pictures" / f"{name}.png").write_bytes(png())


def add_sounds(folder: Path, windows: int = 1) -> None:
    out = folder / "clips" / "unseen_stimulus"
    out.mkdir(parents=True)
    wave = np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000) / 2
    for window in range(windows):
        for arm in ("truth", "round_trip", "eeg", "noise"):
            soundfile.write(out / f"{window:05d}_{arm}.wav", wave, 16_000)
