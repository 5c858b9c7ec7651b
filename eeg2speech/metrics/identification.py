"""Whose sound is a generated clip? Its own among n - 1 others, in the space of the audio encoder.

A ``Comparison`` with generated clips in the place of EEG windows holds all that is needed; of the measures of
generated speech only this one has a known chance level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eeg2speech.metrics.comparison import Comparison, Floats, Numbers
from eeg2speech.metrics.estimate import Estimate, mean_estimate
from eeg2speech.metrics.null import Null, permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import Scores, rank_sounds, score, top

WAYS = (2, 10, 50)
_ROWS = 1024  # compared at a time, which bounds memory


def step_embeddings(tokens: Floats, mean: Floats) -> Floats:
    """Vectors whose dot product is the cosine of two clips averaged over steps.

    Without the mean token all sounds are alike, as much of every token is the same.

    Args:
        tokens: What the audio encoder says of clips, (n, L, F, D).
        mean: Mean of the tokens of real clips, over clips and steps, (F, D).

    Returns:
        Unit vectors, (n, L * F * D); a step at the mean itself is zero.
    """
    count, steps = tokens.shape[:2]
    away = (np.asarray(tokens, np.float32) - np.asarray(mean, np.float32)).reshape(count, steps, -1)
    with np.errstate(invalid="ignore"):  # what is not a number stays so, and then counts as unlike anything
        lengths = np.linalg.norm(away, axis=-1, keepdims=True) * np.float32(np.sqrt(steps))
        embedded: Floats = np.divide(away, lengths, out=np.zeros_like(away), where=lengths != 0)
    return embedded.reshape(count, -1)


def nearest_training(generated: Floats, training: Floats) -> tuple[Numbers, Floats]:
    """Which training clip is nearest to each clip, (n,), and how near, in [-1, 1], (n,).

    A clip that is not a number is near to nothing: its similarity is -1.

    Args:
        generated: Unit vectors, (n, K).
        training: Unit vectors, (m, K), at least one.
    """
    if not len(training):
        raise ValueError("there are no training clips to compare with")
    index, similarity = np.zeros(len(generated), np.int64), np.full(len(generated), -np.inf, np.float32)
    rows = np.arange(len(generated))
    for first in range(0, len(training), _ROWS):
        near: Floats = np.nan_to_num(generated @ training[first : first + _ROWS].T, nan=-1.0)
        best = near.argmax(axis=1)
        closer = near[rows, best] > similarity
        index[closer] = first + best[closer]
        similarity[closer] = near[rows, best][closer]
    return index, similarity


def identify(comparison: Comparison, way: int) -> Scores:
    """Probability that each clip is more like its own sound than like any of ``way`` - 1 others, (n,).

    Expected over all draws of the others from the gallery, without replacement; a tie counts as every order of the
    tied.
    """
    whole = comparison.similarity.shape[1]
    if not 1 <= way <= whole:
        raise ValueError(f"{way}-way identification among {whole} sounds: there are too few")
    return score(rank_sounds(comparison.similarity, comparison.target), top(1, way))


def identification_report(
    comparison: Comparison, ways: Sequence[int] = WAYS, samples: int = 1000, seed: int = 0
) -> dict[int, Estimate]:
    """Identification with chance and interval over stimuli, by the number of sounds to choose from.

    Args:
        comparison: Of generated clips and all different sounds of the list.
        ways: Sounds to choose from; those above the size of the gallery are left out.
        samples: Bootstrap draws; 0 gives no intervals.
        seed: Of the draws.
    """
    return {
        way: mean_estimate(identify(comparison, way), 1 / way, comparison.stimulus, samples, seed)
        for way in _possible(comparison, ways)
    }


def identification_nulls(
    comparison: Comparison,
    ways: Sequence[int] = WAYS,
    group: Numbers | None = None,
    permutations: int = 1000,
    seed: int = 0,
) -> dict[int, Null]:
    """Identification with sounds shuffled within groups; for the same ways as ``identification_report``.

    Args:
        comparison: Of generated clips and all different sounds of the list.
        ways: Sounds to choose from.
        group: Of each clip, (n,): what sounds are shuffled within. The stimulus by default.
        permutations: Number of draws.
        seed: Of the draws.
    """
    return {
        way: permutation_null(retrieval_scores(comparison, top(1, way), group), permutations, seed)
        for way in _possible(comparison, ways)
    }


def _possible(comparison: Comparison, ways: Sequence[int]) -> list[int]:
    return [way for way in ways if way <= comparison.similarity.shape[1]]
