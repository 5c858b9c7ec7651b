"""Stores in which EEG follows the envelopes of what was heard, by a known delay and strength."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Description, Store
from eeg2speech.data.store.writer import StoreWriter
from tests.tiny_stores import head_channels

RATE = 100


def loudness(seconds, seed):
    """An envelope that rises and falls like that of speech, (samples,) at 100 Hz."""
    rng = np.random.default_rng([seed, 7])
    bumps = gaussian_filter1d(rng.standard_normal(round(seconds * RATE)), 5)
    return np.maximum(bumps / bumps.std(), -0.5).astype(np.float32) + 0.5


def background(channels, samples, rng):
    """1/f noise that neighbouring channels share, in microvolts."""
    hertz = np.fft.rfftfreq(samples, 1 / RATE)
    shape = 1 / np.maximum(hertz, 0.5)
    waves = np.fft.irfft(shape * np.exp(2j * np.pi * rng.random((channels, hertz.size))), samples)
    mixed = rng.standard_normal((channels, channels)) @ waves
    return 10 * mixed / mixed.std()


def coupled_store(
    root,
    strength=0.5,
    delay=0.15,
    subjects=1,
    stimuli=4,
    seconds=20.0,
    condition="listening",
    channels=6,
    moved=0.0,
    simulated=False,
    seed=0,
    scrambled=False,
    known=True,
):
    """One recording per subject, in which every stimulus is heard once with a pause of 2 s before it.

    ``strength`` is the standard deviation of what follows the envelope over that of the background, ``moved`` by how
    many seconds segments.tsv is late, ``scrambled`` gives every second subject another order of channels.
    """
    writer = StoreWriter(root, Description("coupled <made>", "tests", "CC0", "none", simulated, RATE))
    loud = {f"s{k}": loudness(seconds, [seed, k]) for k in range(stimuli)}
    for stimulus, envelope in loud.items():
        writer.add_envelope(stimulus, envelope)
    for subject in range(subjects):
        rng = np.random.default_rng([seed, subject])
        heard = np.zeros(round((stimuli * (seconds + 2) + 5) * RATE))
        segments = []
        name = f"sub-{subject:02d}"
        for k, (stimulus, envelope) in enumerate(loud.items()):
            onset = 2 + k * (seconds + 2)
            at = round((onset + delay) * RATE)
            heard[at : at + len(envelope)] = envelope - envelope.mean()
            segments.append(Segment(name, onset + moved, seconds, stimulus, 0.0, condition))
        eeg = background(channels, heard.size, rng) + 10 * strength * rng.standard_normal((channels, 1)) * heard
        there = head_channels(channels)
        if not known:
            there = [type(c)(c.name) for c in there]
        order = range(channels)[::-1] if scrambled and subject % 2 else range(channels)
        eeg, there = eeg[list(order)], [there[row] for row in order]
        writer.add(name, f"{subject:02d}", "", "", eeg.astype(np.float32), there, segments, {})
    return Store(writer.finish())
