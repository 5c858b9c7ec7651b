"""Small stores of slow noise, and electrodes for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eeg2speech.core.types import Channel, Segment
from eeg2speech.data.store.store import Description
from eeg2speech.data.store.writer import StoreWriter

RATE = 100


def head_channels(count: int) -> list[Channel]:
    """Electrodes spread over the upper half of a sphere of 9 cm, in a fixed order."""
    index = np.arange(count) + 0.5
    height, turn = index / count, np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - height**2)
    places = 0.09 * np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    return [Channel(f"E{i}", "eeg", x, y, 0.04 + z) for i, (x, y, z) in enumerate(places.tolist())]


def write_store(
    root: Path,
    channels: Sequence[int] = (8, 8, 8, 8),
    stimuli: int = 8,
    seconds: float = 4.0,
    labels: bool = False,
    seed: int = 0,
) -> Path:
    """A store of slow, spatially smooth noise: one recording per subject, in which every stimulus is heard once."""
    rng = np.random.default_rng(seed)
    writer = StoreWriter(root, Description("tiny", "tests", "CC0", "none", simulated=True, rate=RATE))
    time = np.arange(round(seconds * 16_000)) / 16_000
    for k in range(stimuli):
        writer.add_audio(f"s{k}", (0.5 * np.sin(2 * np.pi * (200 + 50 * k) * time)).astype(np.float32))
    for subject, count in enumerate(channels):
        samples = round((seconds + 1) * stimuli * RATE)
        sources = np.cumsum(rng.standard_normal((3, samples)), axis=1)
        sources -= np.stack([np.convolve(s, np.ones(200) / 200, "same") for s in sources])
        eeg = rng.standard_normal((count, 3)) @ sources + 0.3 * rng.standard_normal((count, samples))
        name = f"sub-{subject:02d}"
        segments = [
            Segment(name, k * (seconds + 1), seconds, f"s{k}", 0.0, "listening", "ab"[k % 2] if labels else "")
            for k in range(stimuli)
        ]
        writer.add(name, f"{subject:02d}", "", "", (5 * eeg).astype(np.float32), head_channels(count), segments, {})
    return writer.finish()
