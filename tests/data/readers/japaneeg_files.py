"""Writes small folders in the layout of JapanEEG."""

from __future__ import annotations

from pathlib import Path

from bids_files import volts, write_recording, write_sound, write_tsv

NAMES = [f"EEG{number:03d}" for number in range(1, 11)]
TYPES = ["EEG"] * 6 + ["MISC", "EOG", "EMG", "TRIG"]
SENTENCES = ("窓ガラスが割れていた", "相撲は日本の伝統的なスポーツです")


def write_japaneeg(root: Path, tasks: tuple[str, ...] = ("speechopen", "listeningcovert"), rate: float = 200.0) -> Path:
    """Write a run per task in which two sentences are said, or heard and imagined; its sound starts 2 s earlier."""
    for number, task in enumerate(tasks):
        folder, stem = root / "sub-01" / "ses-20230829", f"sub-01_ses-20230829_task-{task}_acq-pangolin_run-01"
        write_recording(folder / "eeg" / f"{stem}_eeg.edf", volts(len(NAMES), round(12 * rate), number), NAMES, rate)
        rows = zip(NAMES, TYPES, strict=True)
        write_tsv(folder / "eeg" / f"{stem}_channels.tsv", [{"name": n, "type": t, "units": "µV"} for n, t in rows])
        events = []
        for start, sentence in zip((1.0, 6.0), SENTENCES, strict=True):
            event = {"onset": start, "duration": 2.5, "trial_type": "overt", "wav_onset": start + 2, "value": sentence}
            if task != "speechopen":
                events.append(event | {"trial_type": "listening"})
                event |= {"onset": start + 2.5, "trial_type": "covert", "wav_onset": "n/a"}
            events.append(event)
        write_tsv(folder / "eeg" / f"{stem}_events.tsv", events)
        kind = "vocal" if task == "speechopen" else "audio"
        write_sound(folder / "beh" / f"{stem}_recording-{kind}_beh.wav", 14.0, 300 + 50 * number)
    return root
