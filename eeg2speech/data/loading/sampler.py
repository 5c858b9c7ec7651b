"""Order of windows, which a resumed run repeats exactly without saving the state of any generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import DataLoader, Sampler

from eeg2speech.core.seeding import mix

Key = tuple[int, int]
"""Index of a window and the seed of its random numbers."""


class StimulusBlocks:
    """Orders of windows with blocks of one stimulus, so that a batch contains hard negatives.

    Args:
        stimulus: Stimulus of each window, (n,).
        sound: Start of each window's sound in the stimulus, equal for subjects who heard the same sound, (n,).
        length: Windows of a block.
    """

    def __init__(self, stimulus: ArrayLike | Sequence[str], sound: ArrayLike, length: int) -> None:
        self.length = length
        self._stimulus = np.unique(np.asarray(stimulus), return_inverse=True)[1].reshape(-1)
        pairs = np.stack([self._stimulus, np.unique(np.asarray(sound), return_inverse=True)[1].reshape(-1)], axis=1)
        self._sound = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)

    def order(self, seed: int) -> NDArray[np.int64]:
        """Every window once, (n,): blocks of one stimulus, mixed with blocks of the remaining windows.

        Within a stimulus, the sounds are in random order, first each for one subject, then each for the next. A block
        thus contains no sound twice unless the stimulus has fewer sounds than that.

        Args:
            seed: Seed of the order.
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
    """How many elements of the same group precede each one, in the given order or in a random one, (n,)."""
    index = np.arange(len(group))
    order = np.lexsort((index if rng is None else rng.random(len(group)), group))
    sizes = np.bincount(group)
    out = np.empty_like(index)
    out[order] = index - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return out


class KeyedBatchSampler(Sampler[list[Key]]):
    """Batches of (index, seed) in an order that depends on seed and epoch alone.

    With shuffling, every rank yields the same number of full batches, and the remaining windows are dropped. Without
    shuffling, every window is yielded exactly once, by one of the ranks, so that metrics count each window once.

    Args:
        size: Windows in the dataset.
        batch_size: Windows of a batch on one rank.
        seed: Seed of the run.
        shuffle: Draw a new order each epoch.
        rank: Rank of this process.
        world: Number of processes.
        blocks: Orders with blocks of one stimulus, used when shuffling; ``batch_size`` is a multiple of their length.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
        blocks: StimulusBlocks | None = None,
    ) -> None:
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        self.rank, self.world, self.blocks = rank, world, blocks
        self.epoch = 0
        self.start = 0
        self.drop_last = shuffle
        self.sampler = self  # Lightning looks here for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.shuffle:
            return self.size // (self.batch_size * self.world)
        return -(-len(range(self.rank, self.size, self.world)) // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch = self.epoch if self.shuffle else 0
        order, block = torch.arange(self.size), 1
        if self.shuffle and self.blocks is not None:
            block = self.blocks.length
            order = torch.from_numpy(self.blocks.order(mix(self.seed, epoch)))[: self.size // block * block]
        elif self.shuffle:
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            order = torch.randperm(self.size, generator=generator)
        own = order.view(-1, block)[self.rank :: self.world].flatten().tolist()
        for batch in range(self.start, len(self)):
            chosen = own[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(index, mix(self.seed, epoch, index)) for index in chosen]


class ResumableLoader(DataLoader[Any]):
    """A data loader whose state is the number of batches that it has yielded in the epoch.

    Lightning stores the state in checkpoints and restores it on resume. Batches that were trained on are skipped
    without being read.
    """

    batch_sampler: KeyedBatchSampler
    _resume_at = 0
    _yielded = 0

    def state_dict(self) -> dict[str, int]:
        """Position in the epoch; the same on every rank."""
        return {"batches": self._yielded}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position at the next iteration."""
        self._resume_at = int(state["batches"])

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # a generator: nothing is drawn before the first `next`, and Lightning sets the epoch in between
        start, self._resume_at = self._resume_at, 0
        if start >= len(self.batch_sampler):  # saved at the end of an epoch
            start = 0
        self.batch_sampler.start = self._yielded = start
        for batch in super().__iter__():
            self._yielded += 1
            yield batch
        self.batch_sampler.start = 0


class PlainLoader:
    """A loader that is no ``DataLoader``, so that Lightning does not replace its batch sampler in prediction.

    Args:
        loader: Loader whose batches are yielded.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)
