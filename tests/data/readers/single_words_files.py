"""Writes small folders in the layout of SingleWordProductionDutch, as public loaders describe it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

RATE, SOUND_RATE = 1024, 48000
WORDS = ("gebruik", "de", "één", "vier", "tussen", "hand")
SHOWN, PAUSE, LEAD = 1.0, 0.5, 0.75
"""Seconds that a word and the cross after it are shown, and before the first."""
START = 7000.0
"""Seconds on the recorder's clock."""


def sound_wave(samples: int, subject: int = 1) -> np.ndarray:
    """The participant's voice at an arbitrary scale: its frequency rises, so that every stretch is another."""
    time = np.arange(samples) / SOUND_RATE
    return 3000.0 * np.sin(2 * np.pi * (100 + 10 * subject + 20 * time) * time)


def seeg_signal(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    """Microvolts, (samples, channels)."""
    return 30 * np.random.default_rng(seed).standard_normal((samples, channels))


def write_single_words(
    root: Path,
    subjects: tuple[int, ...] = (1, 2),
    channels: int = 8,
    sound_lead: float = 0.0,
    rates: bool = False,
    words: tuple[str, ...] = WORDS,
    positions: bool = True,
) -> Path:
    """Write participants' folders.

    Args:
        root: New folder.
        subjects: Participants.
        channels: Electrodes of each.
        sound_lead: Seconds that the sound was started before the electrodes.
        rates: Give rates in place of the time of every sample.
        words: Shown in this order.
        positions: Write the electrodes' positions.
    """
    root.mkdir(parents=True)
    for subject in subjects:
        name = f"sub-{subject:02d}"
        folder = root / name / "ieeg"
        folder.mkdir(parents=True)
        seconds = LEAD + len(words) * (SHOWN + PAUSE)
        samples = round(seconds * RATE)
        shown = np.full(samples, "", dtype=object)
        for index, word in enumerate(words):
            first = round((LEAD + index * (SHOWN + PAUSE)) * RATE)
            shown[first : first + round(SHOWN * RATE)] = word
        sound = sound_wave(round((seconds + sound_lead) * SOUND_RATE), subject)
        nwb = NWBFile("words", name, datetime(2020, 1, 1, 12, tzinfo=UTC))
        for series, data, rate, start in (
            ("iEEG", seeg_signal(channels, samples, subject), RATE, START),
            ("Audio", sound, SOUND_RATE, START - sound_lead),
            ("Stimulus", shown, RATE, START),
        ):
            clock = {"timestamps": start + np.arange(len(data)) / rate}
            timing = {"rate": float(rate), "starting_time": start} if rates else clock
            nwb.add_acquisition(TimeSeries(name=series, data=data, unit="unknown", **timing))
        prefix = folder / f"{name}_task-wordProduction"
        with NWBHDF5IO(f"{prefix}_ieeg.nwb", "w") as stream:
            stream.write(nwb)
        names = [f"LA{number + 1}" for number in range(channels)]
        rows = [f"{channel}\tSEEG\tuV\tn/a\tn/a\tctx_lh_G_temporal" for channel in names]
        header = "name\ttype\tunits\tlow_cutoff\thigh_cutoff\tdescription"
        Path(f"{prefix}_channels.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        if positions:
            places = [f"{channel}\t{-20 - 3.5 * index}\t-10\t5\tn/a" for index, channel in enumerate(names)]
            text = "\n".join(["name\tx\ty\tz\tsize", *places]) + "\n"
            Path(f"{prefix}_space-ACPC_electrodes.tsv").write_text(text, encoding="utf-8")
    return root
