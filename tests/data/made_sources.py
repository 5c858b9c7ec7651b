"""Sources of recordings of noise and tones, and the content of what is prepared from them."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, RawRecording, Segment, Source
from eeg2speech.data.store.store import Description

RATE = 8000


def tone(hertz):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32), float(RATE)


def load(name, seed, stimuli, damage=""):
    if damage:
        raise DataError(f"{name}.edf: {damage}")
    eeg = np.random.default_rng(seed).normal(0, 1e-5, (4, 1000))
    channels = [Channel(c) for c in ("Fz", "Cz", "Pz", "Oz")]
    segments = [Segment(name, 0.5, 1.0, stimulus, 0.0, "listening") for stimulus in stimuli]
    return RawRecording(eeg, 200.0, channels, segments, [], {s: partial(tone, h) for s, h in stimuli.items()})


def source(name, seed=0, stimuli=None, damage="", inputs=()):
    stimuli = {"s1": 300} if stimuli is None else stimuli
    return Source(name, name[-2:], "", "", inputs, partial(load, name, seed, stimuli, damage))


def description():
    return Description("test", "here", "CC0", "nobody", False, 1.0)


def content(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
