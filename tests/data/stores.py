"""Stores made to order: what stands in which recording, and where its segments lie."""

from __future__ import annotations

import numpy as np

from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Description, Store
from eeg2speech.data.store.writer import StoreWriter
from tests.tiny_stores import RATE, head_channels


def make_store(root, recordings, audio=(), rate=RATE):
    """A store of recordings, (subject, EEG, segments) or with their channels behind, and sounds by name."""
    writer = StoreWriter(root, Description("made", "tests", "CC0", "none", simulated=True, rate=rate))
    for name, wave in dict(audio).items():
        writer.add_audio(name, wave)
    for name, (subject, eeg, segments, *channels) in recordings.items():
        there = channels[0] if channels else head_channels(len(eeg))
        writer.add(name, subject, "", "", np.asarray(eeg, np.float32), there, segments, {})
    return Store(writer.finish())


def segment(recording="r", onset=0.0, duration=4.0, stimulus="s", offset=0.0, condition="listening", **more):
    return Segment(recording, onset, duration, stimulus, offset, condition, **more)


def noise(channels, samples, seed=0, scale=10.0):
    """EEG in microvolts whose channels differ in level and scale."""
    rng = np.random.default_rng(seed)
    eeg = scale * rng.standard_normal((channels, samples))
    return (eeg * (1 + np.arange(channels)[:, None]) + 3 * np.arange(channels)[:, None]).astype(np.float32)


def sweep(seconds=8.0, low=200.0, high=4000.0):
    """A sine that rises evenly, so that every instant has its own frequency."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.5 * np.sin(2 * np.pi * (low * time + (high - low) / (2 * seconds) * time**2))).astype(np.float32)
