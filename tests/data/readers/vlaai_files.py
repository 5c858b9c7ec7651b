"""Writes small folders in the layout of VLAAI's evaluation_datasets/DTU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE = 64


def write_vlaai(
    folder: Path, subjects: tuple[int, ...] = (1, 2, 10), trials: int = 2, seconds: float = 50.0, scale: float = 5.0
) -> Path:
    """Trial k of everyone is of the same speech; that of the second participant ends three samples earlier."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = int(seconds * RATE)
    for subject in subjects:
        for trial in range(trials):
            envelope = np.abs(np.random.default_rng(trial).normal(0, 1.0, (samples, 1)))
            eeg = np.random.default_rng([subject, trial]).normal(0, scale, (samples, 64))
            end = samples - 3 * (subject == 2)
            np.savez(folder / f"DTU_S{subject}_{trial:03d}.npz", eeg=eeg[:end], envelope=envelope[:end])
    return folder
