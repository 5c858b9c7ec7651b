"""Writes small folders in the layout of the Alice EEG, both releases, as public loaders describe it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybv
import soundfile
from scipy.io import savemat

RATE = 500
ELECTRODES = [str(number) for number in range(1, 62) if number != 29]  # 29 was the reference
WORDS = ("Alice", "was", "beginning", "to", "get", "very")
LEAD, GAP, PART = 2.0, 0.5, 4.0
"""Seconds before the first part, between parts, and of each sound."""


def alice_signal(parts: int, seed: int) -> np.ndarray:
    """Microvolts of the 60 electrodes, VEOG and a copy of the sound, (62, samples)."""
    samples = round((LEAD + parts * (PART + GAP) + 1) * RATE)
    rng = np.random.default_rng(seed)
    return 5 * rng.standard_normal((62, samples)) + 10 * np.sin(2 * np.pi * 10 * np.arange(samples) / RATE)


def onset(part: int) -> float:
    """When a part begins, in seconds."""
    return LEAD + (part - 1) * (PART + GAP)


def word_rows(parts: int) -> list[tuple[str, int, float, float, int]]:
    """Word, part, onset and offset in its sound, and number in the chapter."""
    return [
        (word, part, 0.2 + 0.6 * index, 0.6 + 0.6 * index, (part - 1) * len(WORDS) + index + 1)
        for part in range(1, parts + 1)
        for index, word in enumerate(WORDS)
    ]


def write_proc(
    file: Path, parts: int = 3, shift: float = 0.0, extra: bool = False, first: int = 1, renumber: int = 0
) -> None:
    """The table of proc.zip: every word was cut out from 0.3 s before it to 1 s after it.

    Args:
        file: To write.
        parts: Of the audiobook.
        shift: Seconds by which everything was recorded later than ``onset`` says.
        extra: Another column between FieldTrip's and the named ones, as one participant has.
        first: First part that was recorded.
        renumber: Subtracted from the number of every part.
    """
    rows = []
    for _, part, start, _, order in word_rows(parts):
        if part < first:
            continue
        zero = round((onset(part) + shift + start) * RATE) + 1  # MATLAB counts from 1
        middle = [7.0] if extra else []
        rows.append([zero - 150, zero + 500, -150, *middle, part - renumber, start, order])
    proc = {
        "subject": file.stem,
        "varnames": np.array(["segment", "tmin", "Order"], object),
        "trl": np.array(rows, float),
        "tot_trials": float(len(rows)),
        "tot_chans": 61.0,
        "impedence": {"bads": np.array([], object)},
        "rejections": {"badchans": np.array(["5", "14"], object)},
    }
    file.parent.mkdir(exist_ok=True)
    savemat(file, {"proc": proc})


def write_brennan(
    root: Path, subjects: tuple[str, ...] = ("S01",), parts: int = 3, release: int = 2, proc: bool = True
) -> Path:
    """Write sounds, words and recordings.

    Args:
        root: New folder.
        subjects: Participants.
        parts: Of the audiobook.
        release: 1 for FieldTrip structures, 2 for BrainVision.
        proc: Also write the tables of word onsets.
    """
    (root / "audio").mkdir(parents=True)
    for part in range(1, parts + 1):
        wave = 0.3 * np.sin(2 * np.pi * (150 + 40 * part) * np.arange(round(PART * 22050)) / 22050)
        soundfile.write(root / "audio" / f"DownTheRabbitHoleFinal_SoundFile{part}.wav", wave, 22050)
    lines = ["Word,Segment,onset,offset,Order,LogFreq,Sentence"]
    lines += [f"{word},{part},{on:.3f},{off:.3f},{order},8.1,1" for word, part, on, off, order in word_rows(parts)]
    (root / "AliceChapterOne-EEG.csv").write_text("\r\n".join(lines) + "\r\n")
    for number, subject in enumerate(subjects):
        signal = alice_signal(parts, number)
        names = [*ELECTRODES, "VEOG", "Aux5"]
        if release == 2:
            starts = [round(onset(part) * RATE) for part in range(1, parts + 1)]
            events = [{"onset": start, "duration": 1, "description": 1} for start in starts]
            pybv.write_brainvision(
                data=signal * 1e-6,
                sfreq=RATE,
                ch_names=names,
                fname_base=subject,
                folder_out=root,
                events=events,
                resolution=0.01,
                fmt="binary_float32",
            )
        else:
            hdr = {"Fs": float(RATE), "nChans": 62.0, "label": np.array(names, object)}
            trial = np.empty((1, 1), object)
            trial[0, 0] = signal
            time = np.empty((1, 1), object)
            time[0, 0] = np.arange(signal.shape[1]) / RATE
            raw = {"hdr": hdr, "label": np.array(names, object).reshape(-1, 1), "trial": trial, "time": time}
            savemat(root / f"{subject}.mat", {"raw": raw | {"fsample": float(RATE)}})
        if proc:
            write_proc(root / "proc" / f"{subject}.mat", parts)
    return root
