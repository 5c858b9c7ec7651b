"""Writes small folders in the layout of FEIS."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import soundfile

from eeg2speech.data.readers.feis import ELECTRODES

HEADER = ",".join(["Time:256Hz", "Epoch", *ELECTRODES, "Label", "Stage", "Flag"])
# polar angles and radii of the published Standard-10-20-Cap14.locs
LOCS = """1 -23 0.41111 AF3
2 23 0.41111 AF4
3 -54 0.51111 F7
4 -39 0.33333 F3
5 39 0.33333 F4
6 54 0.51111 F8
7 -69 0.39444 FC5
8 69 0.39444 FC6
9 -90 0.51111 T7
10 90 0.51111 T8
11 -126 0.51111 P7
12 126 0.51111 P8
13 -162 0.51111 O1
14 162 0.51111 O2
"""


def feis_table(labels: list[str], phase: str = "thinking", samples: int = 256, seed: int = 0) -> str:
    """A phase's CSV: epochs of noise on the headset's large offset."""
    rng = np.random.default_rng(seed)
    lines = [HEADER]
    for epoch, label in enumerate(labels):
        noise = np.cumsum(rng.normal(0, 1.0, (samples, len(ELECTRODES))), axis=0)
        eeg = 4200 + noise + rng.normal(0, 5.0, (samples, len(ELECTRODES)))
        for sample, row in enumerate(eeg):
            cells = ",".join(f"{value:.10f}" for value in row)
            lines.append(f"{22 * epoch + 10 + sample / 256},{epoch},{cells},{label},{phase},")
    return "\r\n".join(lines) + "\r\n"


def write_feis(
    root: Path,
    participants: tuple[str, ...] = ("01", "02"),
    phases: tuple[str, ...] = ("thinking",),
    labels: tuple[str, ...] = ("goose", "s", "goose"),
    with_sound: tuple[str, ...] = ("01",),
) -> Path:
    """Write a folder of zips, sounds and electrode positions."""
    (root / "data_eeg").mkdir(parents=True)
    (root / "Standard-10-20-Cap14.locs").write_text("\r\n".join(LOCS.replace(" ", " \t").splitlines()))
    for number, participant in enumerate(participants):
        folder = root / "data_eeg" / participant
        folder.mkdir()
        for phase in phases:
            table = feis_table(list(labels), phase, seed=number)
            with zipfile.ZipFile(folder / f"{phase}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"__MACOSX/{phase}/{phase}.csv", "junk")
                archive.writestr(f"{phase}/{phase}.csv", table)
    for number, participant in enumerate(with_sound):
        wavs = root / "data_wav" / participant / "wavs"
        wavs.mkdir(parents=True)
        for pitch, label in enumerate(dict.fromkeys(labels)):
            wave = 0.3 * np.sin(2 * np.pi * (200 + 100 * pitch + 7 * number) * np.arange(44100) / 44100)
            soundfile.write(wavs / f"{label}.wav", wave, 44100)
    return root
