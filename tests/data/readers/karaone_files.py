"""Writes small folders in the layout of KARA ONE, as public loaders describe it."""

from __future__ import annotations

import struct
from pathlib import Path

import eeglabio
import numpy as np
import soundfile
from scipy.io import savemat

RATE = 1000
ELECTRODES = ("FP1", "FPZ", "FP2", "FZ", "C3", "CZ", "C4", "PZ", "PO7", "OZ")
NAMES = (*ELECTRODES, "M1", "CB1", "VEO", "EKG", "EMG", "Trigger")
PROMPTS = ("/iy/", "gnaw", "/tiy/", "pat")
TRIAL = 4000
"""Samples: 1000 of clearing, 500 of the prompt, 1200 of thinking, 900 of speaking, and some in between."""


def phases(trial: int) -> dict[str, tuple[int, int]]:
    """First and last sample of every phase, counted from 1 as MATLAB does."""
    start = 100 + trial * TRIAL
    return {
        "clearing": (start + 1, start + 1000),
        "stimulus": (start + 1001, start + 1500),
        "thinking": (start + 1501, start + 2700),
        "speaking": (start + 2750, start + 3649),
    }


def karaone_signal(trials: int, seed: int = 0) -> np.ndarray:
    """Microvolts, (channels, samples), whole multiples of 0.1."""
    rng = np.random.default_rng(seed)
    return rng.integers(-400, 400, (len(NAMES), trials * TRIAL + 500)) / 10


def write_cnt(file: Path, microvolts: np.ndarray, names: tuple[str, ...] = NAMES, rate: int = RATE) -> None:
    """A Neuroscan CNT file of 32-bit integers with one event: header of 900 bytes, 75 a channel, samples, events.

    Reference: the SETUP, ELECTLOC, TEEG and EVENT1 structures at paulbourke.net/dataformats/eeg.
    """
    channels, samples = microvolts.shape
    step = 0.1  # microvolts of one count
    header = bytearray(900)
    header[0:12] = b"Version 3.0\0"
    header[225:247] = b"01/02/2014\0" + b"10:00:00\0\0\0"[:11]
    header[225:235], header[235:247] = b"01/02/14".ljust(10, b"\0"), b"10:00:00".ljust(12, b"\0")
    struct.pack_into("<H", header, 370, channels)
    struct.pack_into("<H", header, 376, rate)
    struct.pack_into("<i", header, 864, samples)
    table = 900 + 75 * channels + 4 * channels * samples
    struct.pack_into("<i", header, 886, table)
    struct.pack_into("<f", header, 890, samples / rate)
    blocks = []
    for number, name in enumerate(names):
        block = bytearray(75)
        block[: len(name)] = name.encode()
        angle = 2 * np.pi * number / channels
        struct.pack_into("<ff", block, 19, 100 * np.cos(angle), 100 * np.sin(angle))
        struct.pack_into("<h", block, 47, 0)
        struct.pack_into("<f", block, 59, 204.8 * step)
        struct.pack_into("<f", block, 71, 1.0)
        blocks.append(bytes(block))
    counts = np.round(microvolts / step).astype("<i4").T.tobytes()
    event = struct.pack("<HBci", 1, 0, b"\0", 900 + 75 * channels + 4 * channels * 10)
    file.write_bytes(bytes(header) + b"".join(blocks) + counts + struct.pack("<Bii", 1, len(event), 0) + event)


def write_inds(file: Path, trials: int, mixed: list[tuple[int, int]] | None = None) -> None:
    """``epoch_inds.mat``: cells of first and last samples; prompt and speech take turns in ``speaking_inds``."""

    def cells(spans: list[tuple[int, int]]) -> np.ndarray:
        array = np.empty((1, len(spans)), object)
        for index, span in enumerate(spans):
            array[0, index] = np.array([span], float)
        return array

    of = [phases(trial) for trial in range(trials)]
    if mixed is None:
        mixed = [trial[phase] for trial in of for phase in ("stimulus", "speaking")]
    savemat(
        file,
        {
            "clearing_inds": cells([trial["clearing"] for trial in of]),
            "thinking_inds": cells([trial["thinking"] for trial in of]),
            "speaking_inds": cells(mixed),
        },
    )


def write_karaone(
    root: Path, subjects: tuple[str, ...] = ("MM05",), trials: int = 4, cnt: bool = True, cleaned: bool = False
) -> Path:
    """Write participants' folders.

    Args:
        root: New folder.
        subjects: Participants.
        trials: Of each.
        cnt: Write the raw file.
        cleaned: Write the .set file.
    """
    for number, subject in enumerate(subjects):
        folder = root / "data" / subject
        (folder / "kinect_data").mkdir(parents=True)
        signal = karaone_signal(trials, number)
        if cnt:
            write_cnt(folder / "Acquisition 232 Data.cnt", signal)
        if cleaned:
            eeg = signal[: len(ELECTRODES)] * 1e-6
            eeglabio.raw.export_set(str(folder / "Acquisition 232 Data.set"), eeg, RATE, list(ELECTRODES))
        write_inds(folder / "epoch_inds.mat", trials)
        prompts = [PROMPTS[trial % len(PROMPTS)] for trial in range(trials)]
        (folder / "kinect_data" / "labels.txt").write_text("\r\n".join(prompts) + "\r\n")
        savemat(folder / "all_features_simple.mat", {"all_features": {"prompts": np.array(prompts, object)}})
        for trial in range(trials):
            seconds = 0.7 if trial % 2 else 1.5
            wave = 0.2 * np.sin(2 * np.pi * (200 + 30 * trial + number) * np.arange(round(seconds * 16000)) / 16000)
            soundfile.write(folder / "kinect_data" / f"{trial}.wav", wave, 16000)
    return root
