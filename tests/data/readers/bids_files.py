"""Writes small datasets in the Brain Imaging Data Structure."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import mne
import numpy as np
import soundfile
from numpy.typing import NDArray

NAMES = ("Fp1", "Fp2", "Cz", "T7", "Oz", "EOG")
TYPES = {"EOG": "EOG"}
RATE = 100.0


def volts(channels: int = len(NAMES), samples: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """Noise of some microvolts, (channels, samples)."""
    return np.random.default_rng(seed).normal(0, 2e-5, (channels, samples))


def write_recording(file: Path, eeg: NDArray[np.float64], names: Sequence[str] = NAMES, rate: float = RATE) -> Path:
    """Write EEG in the format that the suffix says, by mne and its exporters."""
    file.parent.mkdir(parents=True, exist_ok=True)
    raw = mne.io.RawArray(eeg, mne.create_info(list(names), rate, "eeg"), verbose="ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if file.suffix == ".fif":
            raw.save(file, overwrite=True, verbose="ERROR")
        elif file.suffix == ".bdf":
            _write_bdf(file, eeg, names, rate)
        else:
            mne.export.export_raw(file, raw, overwrite=True, verbose="ERROR")
    return file


def _write_bdf(file: Path, eeg: NDArray[np.float64], names: Sequence[str], rate: float) -> None:
    import edfio

    signals = [
        edfio.BdfSignal(row * 1e6, rate, label=name, physical_dimension="uV", physical_range=(-500, 500))
        for name, row in zip(names, eeg, strict=True)
    ]
    edfio.Bdf(signals).write(file)


def write_sound(file: Path, seconds: float, pitch: float = 300.0, rate: int = 16_000) -> Path:
    """Write a tone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate), rate)
    return file


def write_tsv(file: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Write a table with the columns of its first row."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    lines = ["\t".join(rows[0]), *("\t".join(str(cell) for cell in row.values()) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_bids(
    root: Path,
    subjects: Sequence[str] = ("01", "02"),
    runs: Sequence[str] = ("1",),
    suffix: str = ".vhdr",
    names: Sequence[str] = NAMES,
    events: Sequence[Mapping[str, object]] | None = None,
    samples: int = 1000,
    rate: float = RATE,
    task: str = "listening",
) -> Path:
    """Write a dataset whose participants hear ``story/a.wav`` of 3 s and ``b.wav`` of 2 s in every run."""
    root.mkdir(parents=True)
    said = {"Name": "Tiny", "BIDSVersion": "1.9.0", "License": "CC0", "Authors": ["A. Author", "B. Author"]}
    (root / "dataset_description.json").write_text(json.dumps(said))
    write_sound(root / "stimuli" / "story" / "a.wav", 3.0, 300)
    write_sound(root / "stimuli" / "b.wav", 2.0, 500)
    if events is None:
        events = (
            {"onset": 1.0, "duration": 3.0, "trial_type": "heard", "stim_file": "story/a.wav", "sample": 100},
            {"onset": 4.5, "duration": "n/a", "trial_type": "pause", "stim_file": "n/a", "sample": 450},
            {"onset": 5.0, "duration": "n/a", "trial_type": "heard", "stim_file": "b.wav", "sample": 500},
        )
    for number, subject in enumerate(subjects):
        for run in runs:
            stem = root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-{task}_run-{run}"
            seed = 100 * number + int(run)
            write_recording(Path(f"{stem}_eeg{suffix}"), volts(len(names), samples, seed), names, rate)
            table = [{"name": name, "type": TYPES.get(name, "EEG"), "units": "µV", "status": "good"} for name in names]
            write_tsv(Path(f"{stem}_channels.tsv"), table)
            if events:
                write_tsv(Path(f"{stem}_events.tsv"), events)
    return root
