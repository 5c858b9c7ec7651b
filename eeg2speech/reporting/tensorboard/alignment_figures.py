"""Figures of an alignment, from embeddings and from the results of a test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eeg2speech.metrics import Embeddings, Estimate
from eeg2speech.metrics.results import AlignmentSplit, GalleryResult
from eeg2speech.plotting import (
    Curve,
    Figure,
    cosine_figure,
    gallery_figure,
    lag_figure,
    plane_figure,
    similarity_figure,
)

SHOWN = 100
"""Windows of the similarity matrix; the dots of more would overlap."""


def embedding_figures(
    embeddings: Embeddings, stimuli: Sequence[str], subjects: Sequence[str], title: str
) -> dict[str, Figure]:
    """Similarity matrix, distribution of cosines, and principal components of embeddings.

    Args:
        embeddings: Of a split.
        stimuli: Names of all stimuli, by index.
        subjects: Names of all subjects, by index.
        title: Above each figure.
    """
    return {
        "similarity": _similarity(embeddings, subjects, title),
        "cosines": _cosines(embeddings, title),
        "plane": _plane(embeddings, stimuli, title),
    }


def result_figures(found: AlignmentSplit, title: str) -> dict[str, Figure]:
    """Retrieval by size of the gallery, and by lag.

    Args:
        found: Results on a split.
        title: Above each figure.
    """
    curves = {name.replace("top", "top-"): gallery_curve(points) for name, points in found.galleries.items()}
    null, lags = found.permutations["mrr"], sorted(found.lag_curve, key=lambda one: one.lag)
    band = [(null.low, null.high)] * len(lags)
    lag_curve = _curve([one.lag for one in lags], [one.mrr for one in lags], band)
    return {
        "galleries": gallery_figure(curves, f"{title}\nretrieval of the sound that a subject heard"),
        "lags": lag_figure(lag_curve, f"{title}\nEEG shifted against the sound"),
    }


def gallery_curve(points: Sequence[GalleryResult]) -> Curve:
    """Accuracy by size of the gallery."""
    bands = [(point.null.low, point.null.high) for point in points]
    return _curve([point.gallery for point in points], [point.estimate for point in points], bands)


def _similarity(embeddings: Embeddings, subjects: Sequence[str], title: str) -> Figure:
    names, counts = np.unique(embeddings.subject, return_counts=True)
    who = names[counts.argmax()]
    rows = np.flatnonzero(embeddings.subject == who)
    rows = rows[np.unique(embeddings.key[rows], return_index=True)[1]]  # one column for each sound
    rows = rows[np.lexsort((embeddings.start[rows], embeddings.stimulus[rows]))][:SHOWN]
    similarity = embeddings.eeg[rows] @ embeddings.sound[rows].T
    about = f"{title}\nsubject {subjects[who]}: {len(rows)} windows and the sounds they heard"
    return similarity_figure(similarity, embeddings.stimulus[rows], about)


def _cosines(embeddings: Embeddings, title: str) -> Figure:
    comparison = embeddings.compare()
    every = np.arange(len(comparison.target))
    right = comparison.similarity[every, comparison.target]
    wrong = np.ones(comparison.similarity.shape, bool)
    wrong[every, comparison.target] = False
    hardest = np.where(wrong, comparison.similarity, -np.inf).max(axis=1)
    cosines = {"all other sounds": comparison.similarity[wrong], "closest other sound": hardest, "its own sound": right}
    return cosine_figure(cosines, f"{title}\n{len(every)} windows, {comparison.similarity.shape[1]} sounds")


def _plane(embeddings: Embeddings, stimuli: Sequence[str], title: str) -> Figure:
    first, heard = embeddings.gallery()
    names = [stimuli[index] for index in embeddings.stimulus[first]]
    return plane_figure(
        embeddings.eeg, embeddings.sound[first], heard, names, f"{title}\n{len(heard)} windows and {len(first)} sounds"
    )


def _curve(x: Sequence[float], estimates: Sequence[Estimate], bands: Sequence[tuple[float, float]]) -> Curve:
    figures = np.array([(one.value, one.low, one.high, one.chance) for one in estimates], float).reshape(-1, 4)
    null = np.array(bands, float).reshape(-1, 2)
    return Curve(np.array(x, float), *figures.T, *null.T)
