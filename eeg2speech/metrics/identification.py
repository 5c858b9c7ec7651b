"""Identification of generated clips among real sounds, in the space of an audio encoder or in log mel spectrograms.

The clips take the place of EEG windows in a ``Comparison``. Of the measures of generated speech only identification
has a known chance level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.metrics.comparison import Comparison, Floats, Numbers
from eeg2speech.metrics.intervals import Estimate, mean_estimate
from eeg2speech.metrics.null import Null, permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import Scores, rank_sounds, score, top

WAYS = (2, 10, 50)
"""Numbers of sounds to choose from."""
PERCENTILE = 99.0
"""Percentile of the similarity of real clips to training clips above which a generated clip counts as memorised."""
_ROWS = 1024  # compared at a time, which bounds memory


@dataclass(frozen=True)
class Memorisation:
    """How many generated clips are closer to a training clip than real held-out speech is.

    Attributes:
        share: Fraction of generated clips above ``threshold``.
        threshold: 99th percentile of the similarity of real held-out clips to their nearest training clip. It is near
            1 where the held-out sounds are in the training data, as in a split of unseen subjects; ``share`` is then
            meaningless.
        expected: Fraction of real clips above ``threshold``, by definition.
    """

    share: float
    threshold: float
    expected: float = 1 - PERCENTILE / 100


def step_embeddings(tokens: Floats, mean: Floats) -> Floats:
    """Vectors whose dot product is the cosine of two clips, averaged over steps.

    The mean token is subtracted, because it makes up most of every token: without that all sounds are similar.

    Args:
        tokens: Output of the audio encoder for clips, (n, L, F, D).
        mean: Mean token of real clips, over clips and steps, (F, D).

    Returns:
        Unit vectors, (n, L * F * D); a step that equals the mean is zero.
    """
    count, steps = tokens.shape[:2]
    centred = (np.asarray(tokens, np.float32) - np.asarray(mean, np.float32)).reshape(count, steps, -1)
    with np.errstate(invalid="ignore"):  # NaN stays NaN, and then counts as the lowest similarity
        lengths = np.linalg.norm(centred, axis=-1, keepdims=True) * np.float32(np.sqrt(steps))
        embedded: Floats = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths != 0)
    return embedded.reshape(count, -1)


def nearest_training(generated: Floats, training: Floats) -> tuple[Numbers, Floats]:
    """Index of the training clip that is nearest to each clip, (n,), and their similarity in [-1, 1], (n,).

    The similarity of a clip that is NaN is -1.

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


def memorisation(generated: NDArray[np.floating], real: NDArray[np.floating]) -> Memorisation:
    """Compare generated with real clips by their similarity to training clips (``nearest_training``).

    Args:
        generated: Similarity of each generated clip to its nearest training clip, (n,).
        real: The same of real held-out clips, (r,). With fewer than 100 the percentile is close to the maximum.
    """
    if not len(generated) or not len(real):
        return Memorisation(float("nan"), float("nan"))
    threshold = float(np.percentile(real, PERCENTILE))
    return Memorisation(float((generated > threshold).mean()), threshold)


def identify(comparison: Comparison, way: int) -> Scores:
    """Probability that each clip is more similar to its own sound than to any of ``way`` - 1 others, (n,).

    It is the expectation over all draws of the others from the gallery, without replacement, and over the orders of
    tied sounds.
    """
    gallery = comparison.similarity.shape[1]
    if not 1 <= way <= gallery:
        raise ValueError(f"{way}-way identification among {gallery} sounds: there are too few")
    return score(rank_sounds(comparison.similarity, comparison.target), top(1, way))


def identification_report(
    comparison: Comparison, ways: Sequence[int] = WAYS, samples: int = 1000, seed: int = 0
) -> dict[int, Estimate]:
    """Identification with chance and interval over stimuli, by the number of sounds to choose from.

    Args:
        comparison: Comparison of generated clips with all different sounds of the split.
        ways: Numbers of sounds to choose from; those above the size of the gallery are left out.
        samples: Number of bootstrap draws; 0 gives no intervals.
        seed: Seed of the draws.
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
    """Identification with sounds permuted within groups; arguments as in ``identification_report``.

    Args:
        comparison: Comparison of generated clips with all different sounds of the split.
        ways: Numbers of sounds to choose from.
        group: Group of each clip, (n,), within which sounds are permuted. The stimulus by default.
        permutations: Number of permutations.
        seed: Seed of the permutations.
    """
    return {
        way: permutation_null(retrieval_scores(comparison, top(1, way), group), permutations, seed)
        for way in _possible(comparison, ways)
    }


def _possible(comparison: Comparison, ways: Sequence[int]) -> list[int]:
    return [way for way in ways if way <= comparison.similarity.shape[1]]
