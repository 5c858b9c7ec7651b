"""Writes small folders in the layout of EAV, as the authors' and public loaders describe it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import soundfile
from scipy.io import savemat

RATE = 500
EMOTIONS = ("Neutral", "Sadness", "Anger", "Happiness", "Calmness")


def eav_signal(trials: int, samples: int, seed: int = 0) -> np.ndarray:
    """Microvolts, (samples, channels, trials)."""
    return 20 * np.random.default_rng(seed).standard_normal((samples, 30, trials))


def write_eav(
    root: Path,
    subjects: tuple[int, ...] = (1, 2),
    trials: int = 8,
    seconds: float = 2.0,
    hdf5: bool = False,
    variable: str = "seg1",
) -> Path:
    """Write participants' folders: trials are listened to and spoken in turn, in ever another emotion.

    Args:
        root: New folder.
        subjects: Participants.
        trials: Of each, an even number.
        seconds: Length of a trial.
        hdf5: Write MATLAB v7.3 instead of v5.
        variable: Name of the signal.
    """
    samples = round(seconds * RATE)
    for subject in subjects:
        folder = root / f"subject{subject}"
        (folder / "EEG").mkdir(parents=True)
        (folder / "Audio").mkdir()
        signal = eav_signal(trials, samples, subject)
        emotions = [(trial // 2) % len(EMOTIONS) for trial in range(trials)]
        label = np.zeros((10, trials))
        for trial, emotion in enumerate(emotions):
            label[2 * emotion + trial % 2, trial] = 1
        _save(folder / "EEG" / f"subject{subject}_eeg.mat", variable, signal, hdf5)
        _save(folder / "EEG" / f"subject{subject}_eeg_label.mat", "label", label, hdf5)
        for trial in range(1, trials, 2):
            ending = "Aud" if trial % 4 == 1 else "aud"
            name = f"{trial + 1:03d}_Trial_02_Speaking_{EMOTIONS[emotions[trial]]}_{ending}.wav"
            wave = 0.3 * np.sin(2 * np.pi * (150 + 20 * trial + subject) * np.arange(round(seconds * 16000)) / 16000)
            soundfile.write(folder / "Audio" / name, wave, 16000)
    return root


def _save(file: Path, name: str, values: np.ndarray, hdf5: bool) -> None:
    if not hdf5:
        savemat(file, {name: values})
        return
    with h5py.File(file, "w", userblock_size=512) as stream:
        variable = stream.create_dataset(name, data=values.T)  # MATLAB's first axis comes last
        variable.attrs["MATLAB_class"] = np.bytes_("double")
    with file.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
