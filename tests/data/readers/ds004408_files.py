"""Writes small folders in the layout of OpenNeuro ds004408."""

from __future__ import annotations

from pathlib import Path

from bids_files import volts, write_recording, write_sound, write_tsv

NAMES = [f"{group}{number}" for group in "ABCD" for number in range(1, 33)]


def write_ds004408(
    root: Path, subjects: tuple[str, ...] = ("001", "002"), runs: tuple[str, ...] = ("01", "02"), seconds: float = 2.0
) -> Path:
    """Write recordings that go on for half a second longer than their part of the story."""
    for number, run in enumerate(runs):
        write_sound(root / "stimuli" / f"audio{run}.wav", seconds, 300 + 50 * number, 44_100)
    for subject in subjects:
        for run in runs:
            stem = root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-listening_run-{run}"
            eeg = volts(len(NAMES), round((seconds + 0.5) * 512), int(subject) * 100 + int(run))
            write_recording(Path(f"{stem}_eeg.vhdr"), eeg, NAMES, 512.0)
            rows = [  # the first column has no name, as in the published tables
                {"": index, "name": name, "type": "EEG", "units": "V", "status": "bad" if name == "B2" else "good"}
                for index, name in enumerate(NAMES)
            ]
            write_tsv(Path(f"{stem}_channels.tsv"), rows)
    return root
