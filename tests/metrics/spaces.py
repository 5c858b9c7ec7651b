"""Embeddings of simulated subjects."""

from __future__ import annotations

import numpy as np

from eeg2speech.metrics import Comparison, Embeddings


def unit(points):
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


def embeddings(rng, subjects=3, stories=4, sounds=6, width=16, signal=0.0, shared=0.0, duration=3.0):
    """All subjects get all stimuli; EEG is ``signal`` x sound + ``shared`` x a component of all subjects + noise."""
    stimulus, place = (x.reshape(-1) for x in np.meshgrid(np.arange(stories), np.arange(sounds), indexing="ij"))
    count = stories * sounds
    sound, common = rng.normal(size=(2, count, width))
    noise = rng.normal(size=(subjects, count, width))
    eeg = (signal * sound + shared * common + noise).reshape(-1, width)
    return Embeddings(
        unit(eeg),
        unit(np.tile(sound, (subjects, 1))),
        np.tile(np.arange(count), subjects),
        np.repeat(np.arange(subjects), count),
        np.tile(stimulus, subjects),
        np.tile(place * duration, subjects),
    )


def comparison(similarity, target=None, subject=None, stimulus=None, start=None):
    """A comparison of one subject and stimulus, unless given otherwise."""
    similarity = np.asarray(similarity, np.float32)
    count, size = similarity.shape
    return Comparison(
        similarity,
        np.arange(count) if target is None else np.asarray(target),
        np.zeros(count, np.int64) if subject is None else np.asarray(subject),
        np.zeros(count, np.int64) if stimulus is None else np.asarray(stimulus),
        3.0 * np.arange(size) if start is None else np.asarray(start, np.float64),
    )
