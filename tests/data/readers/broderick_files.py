"""Writes small folders in the layout of Broderick 2018, Natural Speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from matlab_files import write_mat

RATE = 128


def write_broderick(
    root: Path,
    subjects: tuple[int, ...] = (1, 2),
    runs: tuple[int, ...] = (1, 2),
    seconds: float = 8.0,
    version: str = "5",
    volts: bool = False,
) -> Path:
    """EEG a few samples longer than the envelopes, as published; no sounds."""
    samples = int(seconds * RATE)
    for subject in subjects:
        for run in runs:
            rng = np.random.default_rng([subject, run])
            eeg = rng.normal(0, 15.0, (samples + 5, 128)) * (1e-6 if volts else 1)
            content = {"eegData": eeg.astype(np.float32), "mastoids": eeg[:, :2].astype(np.float32), "fs": 128.0}
            write_mat(root / "EEG" / f"Subject{subject}" / f"Subject{subject}_Run{run}.mat", content, version)
    for run in runs:
        envelope = np.abs(np.random.default_rng(run).normal(0, 1.0, (samples, 1)))
        write_mat(root / "Stimuli" / "Envelopes" / f"audio{run}_128Hz.mat", {"env": envelope}, version)
    return root


def write_broderick_sounds(folder: Path, runs: tuple[int, ...] = (1, 2), seconds: float = 7.0) -> Path:
    """A user's own copy of the sounds."""
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        wave = np.random.default_rng(run).normal(0, 0.1, int(seconds * 16000))
        soundfile.write(folder / f"audio{run}.wav", wave, 16000)
    return folder
