"""Writes small folders in the layouts of KUL (Zenodo 4004271) and DTU (Zenodo 1199011)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import mne
import numpy as np
import soundfile
from matlab_files import StructArray, write_mat

ELECTRODES = tuple(mne.channels.make_standard_montage("biosemi64").ch_names)
EXTRA = tuple(f"EXG{number}" for number in range(1, 9))
SOUND_RATE = 16000
COLUMNS = ("attend_mf", "attend_lr", "acoustic_condition", "n_speakers", "wavfile_male", "wavfile_female", "trigger")


def write_kul(
    root: Path,
    subjects: tuple[int, ...] = (1, 2),
    version: str = "5",
    seconds: float = 6.0,
    rate: int = 128,
    names: tuple[str, ...] = ELECTRODES,
) -> Path:
    """Three trials a person: dry, through a head's transfer functions, and the first again, whose sound is shorter."""
    stories = {f"part{part}_track{track}": 10 * part + track for part in (1, 2) for track in (1, 2)}
    (root / "stimuli").mkdir(parents=True, exist_ok=True)
    for story, seed in stories.items():
        wave = _speech(seed, seconds + 2)  # stories outlast the EEG
        soundfile.write(root / "stimuli" / f"{story}_dry.wav", wave, SOUND_RATE)
        soundfile.write(root / "stimuli" / f"rep_{story}_dry.wav", wave[: SOUND_RATE * 3], SOUND_RATE)
    for subject in subjects:
        rng = np.random.default_rng(subject)
        trials = [
            _kul_trial(rng, ("part1_track1_dry.wav", "part1_track2_dry.wav"), "L", "dry", seconds, rate, names),
            _kul_trial(rng, ("part2_track2_hrtf.wav", "part2_track1_hrtf.wav"), "R", "HRTF", seconds, rate, names),
            _kul_trial(rng, ("rep_part1_track1_dry.wav", "rep_part1_track2_dry.wav"), "L", "dry", 4.0, rate, names),
        ]
        write_mat(root / f"S{subject}.mat", {"trials": trials}, version)
    return root


def write_dtu(
    root: Path,
    subjects: tuple[int, ...] = (1, 2),
    version: str = "5",
    table: str = "csv",
    names: tuple[str, ...] = ELECTRODES,
    rate: int = 128,
) -> Path:
    """Three trials a person of 5 s sound: two talkers, one talker, two talkers. The table is beside or in the file."""
    sounds = root / "AUDIO"
    sounds.mkdir(parents=True, exist_ok=True)
    for seed, talker in enumerate(("aske_story1", "aske_story2", "marianne_story1")):
        for trial in (1, 2):
            soundfile.write(sounds / f"{talker}_trial_{trial}.wav", _speech(10 * seed + trial, 5.0), SOUND_RATE)
    rows: list[dict[str, Any]] = [
        dict(zip(COLUMNS, (1, 2, 1, 2, "aske_story1_trial_1.wav", "marianne_story1_trial_1.wav", 7), strict=True)),
        dict(zip(COLUMNS, (1, 1, 2, 1, "aske_story2_trial_1.wav", "", 3), strict=True)),
        dict(zip(COLUMNS, (2, 1, 3, 2, "aske_story1_trial_2.wav", "marianne_story1_trial_2.wav", 7), strict=True)),
    ]
    for subject in subjects:
        rng = np.random.default_rng(subject)
        eeg = rng.normal(0, 20.0, (24 * rate, len(names) + len(EXTRA) + 1))
        events = [(2, 7), (7.5, 191), (9, 3), (15, 192), (16, 7), (20, 191)]  # the last trial ends early
        data = {
            "eeg": [eeg],
            "fsample": {"eeg": float(rate)},
            "dim": {"chan": {"eeg": [*names, *EXTRA, "Status"]}},
            "event": {
                "eeg": {
                    "sample": np.array([[second * rate + 1.0] for second, _ in events]),  # counted from 1
                    "value": [float(value) for _, value in events],
                }
            },
        }
        variables: dict[str, Any] = {"data": data}
        if table == "struct":
            empty = np.zeros((0, 0))
            variables["expinfo"] = StructArray(
                [{k: empty if v == "" else v if isinstance(v, str) else float(v) for k, v in r.items()} for r in rows]
            )
        write_mat(root / "EEG" / f"S{subject}.mat", variables, version)
        if table == "csv":
            with (root / "EEG" / f"S{subject}.csv").open("w", newline="") as stream:
                writer = csv.DictWriter(stream, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
    return root


def _kul_trial(
    rng: np.random.Generator,
    stimuli: tuple[str, str],
    ear: str,
    condition: str,
    seconds: float,
    rate: int,
    names: tuple[str, ...],
) -> dict[str, Any]:
    eeg = rng.normal(0, 20.0, (int(seconds * rate), len(ELECTRODES)))
    return {
        "RawData": {"Channels": float(len(ELECTRODES)), "EegData": eeg},
        "FileHeader": {
            "SampleRate": float(rate),
            "ChannelCount": float(len(ELECTRODES)),
            "Channels": StructArray([{"Label": name} for name in names]),
        },
        "stimuli": list(stimuli),
        "condition": condition,
        "attended_ear": ear,
        "repetition": float(stimuli[0].startswith("rep")),
    }


def _speech(seed: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * SOUND_RATE))
