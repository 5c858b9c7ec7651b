from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Stories:
    """Orders of windows in which several of one stimulus stand together, so that a batch has hard negatives.

    Args:
        stimulus: Of each window, (n,).
        sound: Start of its sound in the stimulus, equal where several people heard the same, (n,).
        length: How many windows of a stimulus stand together.
    """

    def __init__(self, stimulus: ArrayLike | Sequence[str], sound: ArrayLike, length: int) -> None:
        self.length = length
        self._stimulus = np.unique(np.asarray(stimulus), return_inverse=True)[1].reshape(-1)
        pairs = np.stack([self._stimulus, np.unique(np.asarray(sound), return_inverse=True)[1].reshape(-1)], axis=1)
        self._sound = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)

    def order(self, seed: int) -> NDArray[np.int64]:
        """Every window once, (n,): blocks of one stimulus, and in between blocks of what was left over.

        Within a stimulus, its sounds follow one another in random order, first each for one listener, then each for
        the next, so that a block holds no sound twice unless the stimulus has fewer sounds than that.

        Args:
            seed: Of the order.
        """
        rng = np.random.default_rng(seed)
        n = len(self._stimulus)
        turn = _occurrence(self._sound, rng)
        rank = rng.permutation(n)[self._sound]  # of a sound among those of its stimulus
        order = np.lexsort((rank, turn, self._stimulus))
        place = _occurrence(self._stimulus[order])
        whole = place < np.bincount(self._stimulus)[self._stimulus[order]] // self.length * self.length
        joined = np.concatenate([order[whole], rng.permutation(order[~whole])])
        blocks = joined[: n // self.length * self.length].reshape(-1, self.length)
        return np.concatenate([rng.permutation(blocks).reshape(-1), joined[blocks.size :]])


def _occurrence(group: NDArray[np.int64], rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """How many of the same group come before each, in the order given or in a random one, (n,)."""
    index = np.arange(len(group))
    order = np.lexsort((index if rng is None else rng.random(len(group)), group))
    sizes = np.bincount(group)
    out = np.empty_like(index)
    out[order] = index - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return out
