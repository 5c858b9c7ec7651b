"""Writes small folders in the layout of MEG-MASC, with FIF files in place of KIT ones, which mne cannot write."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import soundfile

RATE = 1000
WORDS = ("Tara", "stood", "it's", "tiny")
SOUND = 3.0
"""Seconds of each sound file."""
LEAD = 1.0
"""Seconds before the first sound."""


def write_meg_masc(
    root: Path,
    subjects: tuple[str, ...] = ("01", "02"),
    sessions: tuple[str, ...] = ("0",),
    tasks: tuple[str, ...] = ("0",),
    sensors: int = 12,
    sounds: int = 2,
) -> Path:
    """Write recordings, tables of events and sounds.

    Args:
        root: New folder.
        subjects: Participants.
        sessions: Of each.
        tasks: Stories; the sounds of task 0 are ``lw1_0.wav`` and so on.
        sensors: Magnetometers.
        sounds: Files of every story, one right after the other.
    """
    (root / "stimuli" / "audio").mkdir(parents=True)
    for task in tasks:
        for index in range(sounds):
            time = np.arange(round(SOUND * 22050)) / 22050
            wave = 0.3 * np.sin(2 * np.pi * (150 + 37 * index + 90 * int(task)) * time)
            soundfile.write(root / "stimuli" / "audio" / f"{story(task)}_{index}.wav", wave, 22050)
    for number, subject in enumerate(subjects):
        for session in sessions:
            folder = root / f"sub-{subject}" / f"ses-{session}" / "meg"
            folder.mkdir(parents=True)
            for task in tasks:
                stem = folder / f"sub-{subject}_ses-{session}_task-{task}"
                write_meg(Path(f"{stem}_meg.fif"), sensors, LEAD + sounds * SOUND + 0.5, number)
                write_events(Path(f"{stem}_events.tsv"), event_rows(story(task), sounds))
    return root


def story(task: str) -> str:
    """Name of a story."""
    return ("lw1", "cable_spool_fort", "easy_money", "the_black_willow")[int(task)]


def event_rows(name: str, sounds: int) -> list[tuple[float, float, dict[str, object]]]:
    """Onset, duration and description of every event of a story."""
    rows: list[tuple[float, float, dict[str, object]]] = []
    for index in range(sounds):
        sound = f"stimuli/audio/{name}_{index}.wav"
        begin = LEAD + index * SOUND
        rows.append((begin, SOUND, {"story": name, "kind": "sound", "sound": sound, "start": 0.0}))
        for order, word in enumerate(WORDS):
            start = 0.1 + 0.7 * order
            about = {"story": name, "sound": sound, "sequence_id": 0.0, "condition": "sentence", "word_index": order}
            rows.append((begin + start, 0.6, about | {"kind": "word", "word": word, "start": start}))
            rows.append((begin + start, 0.1, about | {"kind": "phoneme", "phoneme": "t_B", "start": start}))
    return rows


def write_events(file: Path, rows: list[tuple[float, float, dict[str, object]]]) -> None:
    """``events.tsv``, whose trial_type is a Python dictionary written out."""
    lines = ["onset\tduration\ttrial_type\tvalue\tsample"]
    lines += [f"{on:.3f}\t{length}\t{about!r}\t1\t{round(on * RATE)}" for on, length, about in rows]
    file.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")


def write_meg(file: Path, sensors: int, seconds: float, seed: int = 0) -> None:
    """Magnetometers on half a sphere, and one trigger channel, as FIF."""
    info = mne.create_info(
        [f"MEG {k:03d}" for k in range(1, sensors + 1)] + ["STI 014"], RATE, ["mag"] * sensors + ["stim"]
    )
    for index, channel in enumerate(info["chs"][:sensors]):
        angle = 2 * np.pi * index / sensors
        channel["loc"][:3] = 0.1 * np.cos(angle), 0.1 * np.sin(angle), 0.05
    signal = 1e-13 * np.random.default_rng(seed).standard_normal((sensors + 1, round(seconds * RATE)))
    signal[-1] = 0
    mne.io.RawArray(signal, info, verbose="ERROR").save(file, verbose="ERROR")
