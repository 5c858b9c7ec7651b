"""Is what was generated merely remembered? Generated clips beside the sounds that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILE = 99.0
"""Of real clips: how near to training clips is still ordinary."""


@dataclass(frozen=True)
class Memorisation:
    """How many generated clips are nearer to a training clip than real speech ever comes.

    Attributes:
        share: Of generated clips that are above ``threshold``.
        threshold: 99th percentile of the similarity of real held-out clips to their nearest training clip. Near 1
            where the held-out sounds were trained on themselves, as in a list of new subjects: the share says nothing
            there.
        expected: Share of real clips above it, by its definition.
    """

    share: float
    threshold: float
    expected: float = 1 - PERCENTILE / 100


def memorisation(generated: NDArray[np.floating], real: NDArray[np.floating]) -> Memorisation:
    """Compare how near clips are to the training clip that is nearest to each; see ``nearest_training``.

    Args:
        generated: Similarity of generated clips, (n,).
        real: Similarity of real held-out clips, (r,). With fewer than 100 the percentile is close to the largest.
    """
    if not len(generated) or not len(real):
        return Memorisation(float("nan"), float("nan"))
    threshold = float(np.percentile(real, PERCENTILE))
    return Memorisation(float((generated > threshold).mean()), threshold)
