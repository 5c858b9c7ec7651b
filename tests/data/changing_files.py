"""Files of recordings that are edited after they were prepared."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import soundfile

from eeg2speech.core.types import Channel, RawRecording, Segment, Source
from eeg2speech.data.preparation.prepare import prepare_sources
from tests.data.made_sources import description


def tone(file, hertz=300.0):
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * hertz * np.arange(8000) / 8000), 8000)


def load(root, name):
    seed = int((root / f"{name}.eeg").read_text())
    eeg = np.random.default_rng(seed).normal(0, 1e-5, (4, 1000))
    channels = [Channel(c) for c in ("Fz", "Cz", "Pz", "Oz")]
    rows = [line.split() for line in (root / f"{name}.tsv").read_text().splitlines()]
    segments = [Segment(name, float(onset), 1.0, sound, 0.0, "listening") for onset, sound in rows]
    return RawRecording(eeg, 200.0, channels, segments, [], {s: root / "sounds" / f"{s}.wav" for _, s in rows})


def sources(root, *names):
    """A recording for each signal; what it is read from is its signal, its table, its sounds and a sidecar for all."""
    found = []
    for file in sorted(root.glob("*.eeg")):
        name = file.stem
        if names and name not in names:
            continue
        table = file.with_suffix(".tsv")
        sounds = [root / "sounds" / f"{row.split()[1]}.wav" for row in table.read_text().splitlines()]
        beside = [side for side in (root / "cap.json",) if side.exists()]
        files = (file, table, *dict.fromkeys(sounds), *beside)
        found.append(Source(name, name[-2:], "", "", files, partial(load, root, name)))
    return found


def write_three(root):
    """Write three recordings: S1 hears a, S2 hears a and b, S3 hears c."""
    for number, sound in enumerate("abc"):
        tone(root / "sounds" / f"{sound}.wav", 300 + 50 * number)
    for number, heard in enumerate(("0.5 a\n", "0.5 a\n2 b\n", "1 c\n"), start=1):
        (root / f"S{number}.eeg").write_text(str(number))
        (root / f"S{number}.tsv").write_text(heard)
    return root


def prepare(root, out, *names, **options):
    return prepare_sources(sources(root, *names), out, description(), root=root, **options)


def edited(file, text):
    """Save a file as an editor does, and later than its clock can tell apart."""
    stamp = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(stamp + 10**9, stamp + 10**9))
