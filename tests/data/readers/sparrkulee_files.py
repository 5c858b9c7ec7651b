"""Writes small folders in the layout of SparrKULee: raw recordings, sounds, and the published preprocessing."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import edfio
import mne
import numpy as np

ELECTRODES = tuple(mne.channels.make_standard_montage("biosemi64").ch_names)
INPUTS = tuple(f"{bank}{number}" for bank in "AB" for number in range(1, 33))
COLUMNS = ("onset", "duration", "stim_file", "trigger_file", "noise_file", "video_file", "condition", "snr")
SOUND_RATE = 16000


def run_name(subject: str, run: int) -> str:
    return f"sub-{subject}_ses-shortstories01_task-listeningActive_run-{run:02d}"


def write_sparrkulee(
    root: Path,
    subjects: tuple[str, ...] = ("001", "002"),
    stimuli: tuple[str, ...] = ("audiobook_1", "podcast_1"),
    seconds: float = 6.0,
    rate: int = 512,
    names: tuple[str, ...] = ELECTRODES,
) -> Path:
    """Run k of everyone is of sound k, which starts 1.5 s into the recording and is heard in noise from k = 2 on."""
    for stimulus in stimuli:
        write_sound(root / "stimuli" / "eeg" / f"{stimulus}.npz.gz", seconds)
    for subject in subjects:
        folder = root / f"sub-{subject}" / "ses-shortstories01" / "eeg"
        folder.mkdir(parents=True, exist_ok=True)
        for run, stimulus in enumerate(stimuli, start=1):
            name = run_name(subject, run)
            rng = np.random.default_rng([int(subject), run])
            write_bdf(folder / f"{name}_eeg.bdf.gz", rng.normal(0, 20.0, (64, int((seconds + 3) * rate))), rate, names)
            heard = ("n/a", "n/a") if run == 1 else ("in_noise", "-4")
            row = ("1.5", f"{seconds:g}", f"eeg/{stimulus}.npz.gz", f"eeg/t_{stimulus}.npz.gz", "n/a", "n/a", *heard)
            (folder / f"{name}_events.tsv").write_text("\t".join(COLUMNS) + "\n" + "\t".join(row) + "\n")
    return root


def write_published(
    root: Path,
    subjects: tuple[str, ...] = ("001", "002"),
    stimuli: tuple[str, ...] = ("audiobook_1", "podcast_1"),
    seconds: float = 6.0,
) -> Path:
    """The published preprocessing: EEG runs on for two seconds after the sound."""
    features = root / "derivatives" / "preprocessed_stimuli"
    features.mkdir(parents=True, exist_ok=True)
    for run, stimulus in enumerate(stimuli, start=1):
        envelope = np.abs(np.random.default_rng(run).normal(0, 0.5, (int(seconds * 64), 1)))
        np.save(features / f"{stimulus}_envelope.npy", envelope)
        for subject in subjects:
            folder = root / "derivatives" / "preprocessed_eeg" / f"sub-{subject}" / "ses-shortstories01"
            folder.mkdir(parents=True, exist_ok=True)
            eeg = np.random.default_rng([int(subject), run]).normal(0, 5.0, (64, int((seconds + 2) * 64)))
            np.save(folder / f"{run_name(subject, run)}_desc-preproc-audio-{stimulus}_eeg.npy", eeg)
    return root


def write_sound(file: Path, seconds: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(file.name.encode())
    wave = np.random.default_rng(seed).normal(0, 0.1, int(seconds * SOUND_RATE)).astype(np.float32)
    content = io.BytesIO()
    np.savez(content, audio=wave, fs=SOUND_RATE)
    file.write_bytes(gzip.compress(content.getvalue(), 1))


def write_bdf(file: Path, microvolts: np.ndarray, rate: int, names: tuple[str, ...] = ELECTRODES) -> None:
    """A gzipped BioSemi recording: the electrodes, eight external inputs and the triggers."""
    samples = microvolts.shape[1]
    signals = [
        edfio.BdfSignal(row, rate, label=name, physical_dimension="uV", physical_range=(-262144, 262143))
        for name, row in zip(names, microvolts, strict=True)
    ]
    outside = np.linspace(-100.0, 100.0, samples)
    signals += [
        edfio.BdfSignal(outside, rate, label=f"EXG{n}", physical_dimension="uV", physical_range=(-262144, 262143))
        for n in range(1, 9)
    ]
    status = np.zeros(samples)
    signals.append(edfio.BdfSignal(status, rate, label="Status", physical_range=(-8388608, 8388607)))
    plain = file.with_suffix("")
    edfio.Bdf(signals).write(plain)
    file.write_bytes(gzip.compress(plain.read_bytes(), 1))
    plain.unlink()
