"""EEG in which speech features are planted by a known linear filter."""

from __future__ import annotations

import numpy as np


def planted(rng, samples, channels=6, features=3, gain=1.0, delay=10):
    """Features that vary smoothly and EEG that follows each of them, ``delay`` samples later, under noise.

    The filter is the same in every call; so is the mixing of features into channels.
    """
    mixing = np.random.default_rng(99).standard_normal((channels, features))
    sound = rng.standard_normal((features, samples + delay + 20))
    sound = np.stack([np.convolve(row, np.ones(8) / 8**0.5, "same") for row in sound])
    eeg = gain * mixing @ sound[:, 20 - delay : 20 - delay + samples] + rng.standard_normal((channels, samples))
    return eeg.astype(np.float32), sound[:, 20 : 20 + samples].astype(np.float32)


def ranks(eeg, sound):
    """How many other sounds are more similar to each EEG window than its own, (n,)."""
    similarity = eeg @ sound.T
    return (similarity > np.diag(similarity)[:, None]).sum(axis=1)
