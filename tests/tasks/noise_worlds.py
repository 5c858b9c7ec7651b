"""A store of pure noise in which nothing can be decoded, and settings with which a small model memorises its pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Description
from eeg2speech.data.store.writer import StoreWriter
from tests.tiny_stores import head_channels

SECONDS = 15.0
MEMORISING = {
    "trainer": {
        "max_steps": 60, "val_check_interval": 60, "log_every_n_steps": 50, "accelerator": "cpu", "devices": 1,
        "enable_model_summary": False, "enable_progress_bar": False,
        "callbacks": [
            {"class_path": "eeg2speech.training.StepSeed"},
            {
                "class_path": "eeg2speech.training.AtomicCheckpoint",
                "init_args": {"monitor": "val/mrr", "mode": "max", "filename": "best", "save_last": True},
            },
            {
                "class_path": "eeg2speech.training.EvaluateAlignment",
                "init_args": {"permutations": 1000, "lags": [0.0], "linear": False, "electrodes": 0},
            },
            {"class_path": "eeg2speech.training.WriteResults"},
        ],
    },
    "data": {"window": 1.28, "hop": 1.28, "batch_size": 32, "augment": {"time_shift": 0.0}},
    "model": {
        "init_args": {
            "encoder": {"init_args": {"width": 32, "depth": 1, "heads": 2}},
            "audio": {"init_args": {"width": 32, "depth": 1, "heads": 2}},
            "encoder_weights": None, "audio_weights": None, "features": 32, "width": 64,
            "optimizer": {"init_args": {"lr": 0.01}},
        }
    },
}  # fmt: skip
"""Overlay on configs/alignment.yaml, without augmentation; of an evaluation it leaves what a verdict needs."""


def write_noise(root: Path, name: str = "noise", gain: float = 10.0, prefix: str = "") -> Path:
    """Four subjects, ten sounds in two conditions; EEG that carries no information about them.

    Args:
        root: Of the store.
        name: Of the dataset.
        gain: Microvolts.
        prefix: Of the names of subjects and sounds; what they hold stays the same.
    """
    rng = np.random.default_rng(0)
    writer = StoreWriter(root, Description(name, "tests", "CC0", "none", simulated=False, rate=100))
    time = np.arange(round(SECONDS * 16_000)) / 16_000
    for k in range(10):
        loudness, pitch = (
            np.interp(time, knots, rng.uniform(low, high, len(knots)))
            for knots, low, high in ((np.arange(0, 16, 0.25), 0, 1), (np.arange(0, 16, 0.5), 100, 3000))
        )
        wave = 0.4 * loudness * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000)
        writer.add_audio(f"{prefix}s{k}", wave.astype(np.float32))
    for subject in range(4):
        recording = f"{prefix}sub-{subject}"
        segments = [
            Segment(recording, k * (SECONDS + 1), SECONDS, f"{prefix}s{k}", 0.0, ("listening", "overt")[k % 2])
            for k in range(10)
        ]
        eeg = (gain * rng.standard_normal((8, round((SECONDS + 1) * 1000)))).astype(np.float32)
        writer.add(recording, f"{prefix}{subject}", "", "", eeg, head_channels(8), segments, {})
    return writer.finish()
