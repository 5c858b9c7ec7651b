"""Retrieval accuracy against the size of the gallery, with what permutations give there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eeg2speech.metrics.comparison import Comparison, Numbers
from eeg2speech.metrics.estimate import Estimate, mean_estimate
from eeg2speech.metrics.null import Null, permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import chance, rank_sounds, score, top
from eeg2speech.metrics.retrieval import TOPS

SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class GalleryPoint:
    """Accuracy in galleries of one size.

    Attributes:
        gallery: Sounds to choose from, the right one included.
        figure: Expected over all galleries of that size, with chance and interval over stimuli.
        null: The same with sounds shuffled within their story.
    """

    gallery: int
    figure: Estimate
    null: Null


def gallery_curves(
    comparison: Comparison,
    permutations: int = 1000,
    tops: Sequence[int] = TOPS,
    sizes: Sequence[int] = SIZES,
    group: Numbers | None = None,
) -> dict[str, list[GalleryPoint]]:
    """Top-k accuracy, EEG to sound, at growing sizes up to the whole gallery.

    Args:
        comparison: Of the split.
        permutations: Shuffles of the sounds.
        tops: Ranks that count as found; each starts at the first size above it, as all is found in smaller ones.
        sizes: Of the galleries; those that the split is too small for are left out.
        group: Of each window, (n,): what sounds are shuffled within. The stimulus by default.
    """
    whole = comparison.similarity.shape[1]
    ranks = rank_sounds(comparison.similarity, comparison.target)
    curves = {}
    for k in tops:
        points = []
        for size in (*(size for size in sizes if k < size < whole), whole):
            table = top(k, size)
            figure = mean_estimate(score(ranks, table), chance(ranks, table), comparison.stimulus)
            null = permutation_null(retrieval_scores(comparison, table, group), permutations)
            points.append(GalleryPoint(size, figure, null))
        curves[f"top{k}"] = points
    return curves
