"""Figures of an alignment, from embeddings and from what a test has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eeg2speech.metrics import Embeddings
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
"""Windows of the similarity matrix: more are finer than the dots on them."""


def embedding_figures(
    embeddings: Embeddings, stimuli: Sequence[str], subjects: Sequence[str], title: str
) -> dict[str, Figure]:
    """What embeddings show by themselves.

    Args:
        embeddings: Of a list.
        stimuli: Names, in the order of the indices.
        subjects: Names, in the order of the indices.
        title: Above each figure.
    """
    return {
        "similarity": _similarity(embeddings, subjects, title),
        "cosines": _cosines(embeddings, title),
        "plane": _plane(embeddings, stimuli, title),
    }


def result_figures(found: Mapping[str, Any], title: str) -> dict[str, Figure]:
    """What ``EvaluateAlignment`` has found on a list.

    Args:
        found: The list's results.
        title: Above each figure.
    """
    curves = {
        name.replace("top", "top-"): _curve([point["gallery"] for point in points], points)
        for name, points in found["galleries"].items()
    }
    null = found["permutations"]["mrr"]
    lags = sorted(found["lag curve, mrr"].items(), key=lambda item: float(item[0]))
    points = [point | {"null_low": null["low"], "null_high": null["high"]} for _, point in lags]
    return {
        "galleries": gallery_figure(curves, f"{title}\nfinding the sound that a window heard"),
        "lags": lag_figure(_curve([float(lag) for lag, _ in lags], points), f"{title}\nEEG moved against the sound"),
    }


def _similarity(embeddings: Embeddings, subjects: Sequence[str], title: str) -> Figure:
    names, counts = np.unique(embeddings.subject, return_counts=True)
    who = names[counts.argmax()]
    rows = np.flatnonzero(embeddings.subject == who)
    rows = rows[np.unique(embeddings.key[rows], return_index=True)[1]]  # a sound heard twice has one column
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


def _curve(x: Sequence[float], points: Sequence[Mapping[str, float]]) -> Curve:
    columns = ("value", "low", "high", "chance", "null_low", "null_high")
    return Curve(np.array(x, float), *(np.array([point[name] for point in points]) for name in columns))
