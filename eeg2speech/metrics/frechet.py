"""Frechet distance between a set of generated clips and a set of real clips, which need not correspond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]
Totals = NDArray[np.float64]


@dataclass(frozen=True)
class Frechet:
    """A Frechet distance with its sample sizes and the size of its bias.

    The estimate is biased upwards by a term that falls as one over the number of samples and is large for fewer samples
    than dimensions. Compare only distances of equal sample sizes, and none with those of other papers.

    Attributes:
        value: Distance of generated and real clips, in squared units of the embedding.
        real: Number of real clips.
        generated: Number of generated clips.
        halves: Mean distance of two random halves of the real clips: the bias alone for half as many samples. NaN for
            fewer than four.
    """

    value: float
    real: int
    generated: int
    halves: float


def frechet_report(real: Points, generated: Points, draws: int = 10, seed: int = 0) -> Frechet:
    """Distance of generated clips from real ones.

    Args:
        real: Embeddings, (n, K); see ``clip_embeddings``.
        generated: Embeddings, (m, K).
        draws: Number of random splits of the real clips into halves.
        seed: Seed of the splits.
    """
    rng = np.random.default_rng(seed)
    half = len(real) // 2
    orders = [rng.permutation(len(real)) for _ in range(draws if half > 1 else 0)]
    halves = [frechet_distance(real[order[:half]], real[order[half:]]) for order in orders]
    return Frechet(
        frechet_distance(real, generated), len(real), len(generated), float(np.mean(halves)) if halves else float("nan")
    )


def frechet_distance(first: Points, second: Points) -> float:
    """Distance of the Gaussians that have the means and covariances of two sets of points, (n, K) and (m, K).

    Squared distance of the means plus tr(A + B - 2 (A B)^(1/2)) of the covariances A and B; NaN for fewer than two
    points in a set or points that are not finite. The trace of the root is the sum of the singular values of the
    points' cross-products, which is exact for singular covariances, i.e. for fewer points than dimensions.

    Reference: Dowson and Landau 1982, The Frechet distance between multivariate normal distributions; Kilgour et al.
    2019, Frechet audio distance.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    if min(map(len, sides)) < 2 or not all(np.isfinite(side).all() for side in sides):
        return float("nan")
    means = [side.mean(axis=0) for side in sides]
    roots = [_covariance_root(side - mean) for side, mean in zip(sides, means, strict=True)]
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(np.square(root).sum() for root in roots)
    return float(max(np.square(means[0] - means[1]).sum() + spread - 2 * shared, 0.0))


def clip_embeddings(tokens: Points) -> Totals:
    """Mean over steps and frequency rows of the tokens of clips, (n, L, F, D): (n, D).

    It describes the voice rather than the words, in few enough dimensions for few clips.
    """
    means: Totals = tokens.mean(axis=(1, 2), dtype=np.float64)
    return means


def _covariance_root(centred: Totals) -> Totals:
    """A matrix R, (at most K, K), with R^T R the covariance of centred points, (n, K)."""
    scaled: Totals = centred / np.sqrt(len(centred) - 1)
    if len(scaled) <= scaled.shape[1]:
        return scaled
    triangle: Totals = np.linalg.qr(scaled).R
    return triangle
