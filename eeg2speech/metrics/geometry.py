"""Geometry of the embeddings of EEG and sound.

These measures are reported only and enter no verdict: a small gap does not imply good retrieval.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import skew

from eeg2speech.metrics.comparison import Embeddings, Floats


def geometry(embeddings: Embeddings, most: int = 2000, seed: int = 0) -> dict[str, float]:
    """Every measure of this module by name.

    Args:
        embeddings: Embeddings of the split.
        most: Largest number of windows, and of different sounds, that are used; of more a random sample is taken.
        seed: Seed of the sample.
    """
    rng = np.random.default_rng(seed)
    rows = _sample(len(embeddings.key), most, rng)
    first, _ = embeddings.gallery()
    eeg, sound = embeddings.eeg[rows], embeddings.sound[rows]
    sounds = embeddings.sound[first[_sample(len(first), most, rng)]]
    return {
        "modality_gap": modality_gap(eeg, sounds),
        "alignment": alignment(eeg, sound),
        "uniformity_eeg": uniformity(eeg),
        "uniformity_sound": uniformity(sounds),
        "cka": linear_cka(eeg, sound),
        "effective_rank_eeg": effective_rank(eeg),
        "effective_rank_sound": effective_rank(sounds),
        "hubness": hubness(eeg @ sounds.T),
    }


def modality_gap(eeg: Floats, sound: Floats) -> float:
    """Distance between the centroids of EEG and sound, 0 to 2 for unit vectors, (n, K) and (m, K).

    Reference: Liang et al. 2022, Mind the gap.
    """
    return float(np.linalg.norm(eeg.mean(axis=0, dtype=np.float64) - sound.mean(axis=0, dtype=np.float64)))


def alignment(eeg: Floats, sound: Floats) -> float:
    """Mean squared distance of pairs, 0 (identical) to 4 for unit vectors, both (n, K).

    Reference: Wang and Isola 2020, Understanding contrastive representation learning.
    """
    return float(np.square(eeg - sound, dtype=np.float64).sum(axis=1).mean())


def uniformity(points: Floats, temperature: float = 2.0) -> float:
    """Logarithm of the mean Gaussian potential of all pairs of points, (n, K): 0 (all equal) to -4 (spread out).

    Reference: Wang and Isola 2020, Understanding contrastive representation learning.
    """
    if len(points) < 2:
        return float("nan")
    double = points.astype(np.float64)
    square = np.square(double).sum(axis=1)
    distance = square[:, None] + square - 2 * double @ double.T
    pairs = distance[np.triu_indices(len(points), k=1)]
    return float(np.log(np.exp(-temperature * pairs.clip(min=0)).mean()))


def linear_cka(first: Floats, second: Floats, debiased: bool = True) -> float:
    """Centred kernel alignment of two representations of the same rows, (n, K) and (n, M): 1 for equal ones.

    Rotation and scale do not matter. The plain estimate approaches 1 for unrelated representations wider than n; the
    debiased one is 0 for them on average and needs four rows.

    Reference: Kornblith et al. 2019, Similarity of neural network representations revisited; debiased after Song et
    al. 2012, Feature selection via dependence maximization.
    """
    if debiased and len(first) < 4:
        return float("nan")
    sides = [side.astype(np.float64) for side in (first, second)]
    # the estimates do not depend on the origin, but lose precision far from it
    grams = [(side - side[0]) @ (side - side[0]).T for side in sides]
    dependence = _unbiased_hsic if debiased else _hsic
    cross, left, right = (dependence(grams[i], grams[j]) for i, j in ((0, 1), (0, 0), (1, 1)))
    return cross / float(np.sqrt(left * right)) if left > 0 and right > 0 else float("nan")


def effective_rank(points: Floats) -> float:
    """Number of directions over which the centred points, (n, K), spread: exp of the entropy of singular values.

    Reference: Roy and Vetterli 2007, The effective rank.
    """
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False).astype(np.float64)
    if values.sum() <= 1e-6:
        return 0.0
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def hubness(similarity: Floats, k: int = 10) -> float:
    """Skewness of how often each sound is among the ``k`` most similar ones of an EEG window; (n, G).

    It is 0 without hubs and NaN where every sound is among them equally often.

    Reference: Radovanovic et al. 2010, Hubs in space.
    """
    size = similarity.shape[1]
    near = np.argpartition(-similarity, min(k, size) - 1, axis=1)[:, : min(k, size)]
    found = np.bincount(near.reshape(-1), minlength=size).astype(np.float64)
    return float(skew(found)) if found.std() > 0 else float("nan")


def _sample(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(rng.permutation(count)[:most])


def _hsic(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Hilbert-Schmidt independence criterion of two Gram matrices, up to a constant factor."""
    centred = first - first.mean(axis=0) - first.mean(axis=1)[:, None] + first.mean()
    return float((centred * second).sum())


def _unbiased_hsic(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Unbiased estimate of ``_hsic``, which leaves out the diagonal."""
    n = len(first)
    first, second = (gram - np.diag(np.diag(gram)) for gram in (first, second))
    product = first.sum() * second.sum() / ((n - 1) * (n - 2))
    return float((first * second).sum() + product - 2 / (n - 2) * (first.sum(axis=0) @ second.sum(axis=0)))
