"""Order of training that a resumed run repeats exactly, without saving any generator's state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from eeg2speech.core.seeding import mix
from eeg2speech.data.loading.stories import Stories

Key = tuple[int, int]
"""Index of a window and the seed of its random numbers."""


class KeyedBatchSampler(Sampler[list[Key]]):
    """Batches of (index, seed) in an order that depends on seed and epoch alone.

    When shuffling, every rank yields equally many full batches and the rest is dropped. Without shuffling every window
    is yielded exactly once, by one of the ranks, so that metrics over a split count nothing twice.

    Args:
        size: Windows in the dataset.
        batch_size: Windows of a batch on one rank.
        seed: Of the run.
        shuffle: Draw a new order each epoch, and drop what does not fill a batch on every rank.
        rank: Of this process.
        world: Processes.
        stories: Keeps windows of one stimulus together when shuffling, in blocks that a batch is a multiple of.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
        stories: Stories | None = None,
    ) -> None:
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        self.rank, self.world, self.stories = rank, world, stories
        self.epoch = 0
        self.start = 0
        self.drop_last = shuffle
        self.sampler = self  # Lightning looks here for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.shuffle:
            return self.size // (self.batch_size * self.world)
        return -(-len(range(self.rank, self.size, self.world)) // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch = self.epoch if self.shuffle else 0
        order, block = torch.arange(self.size), 1
        if self.shuffle and self.stories is not None:
            block = self.stories.length
            order = torch.from_numpy(self.stories.order(mix(self.seed, epoch)))[: self.size // block * block]
        elif self.shuffle:
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            order = torch.randperm(self.size, generator=generator)
        own = order.view(-1, block)[self.rank :: self.world].flatten().tolist()
        for batch in range(self.start, len(self)):
            chosen = own[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(index, mix(self.seed, epoch, index)) for index in chosen]


class ResumableLoader(DataLoader[Any]):
    """A data loader whose state is how many batches of the epoch it has handed out.

    Lightning stores the state in checkpoints and hands it back on resume. Batches that were trained on are skipped
    without being read.
    """

    batch_sampler: KeyedBatchSampler
    _resume_at = 0
    _handed_out = 0

    def state_dict(self) -> dict[str, int]:
        """Position in the epoch; the same on every rank."""
        return {"batches": self._handed_out}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position at the next iteration."""
        self._resume_at = int(state["batches"])

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # a generator: nothing is drawn before the first `next`, and Lightning sets the epoch in between
        start, self._resume_at = self._resume_at, 0
        if start >= len(self.batch_sampler):  # saved at the end of an epoch
            start = 0
        self.batch_sampler.start = self._handed_out = start
        for batch in super().__iter__():
            self._handed_out += 1
            yield batch
        self.batch_sampler.start = 0


class PlainLoader:
    """A loader that Lightning takes as it is.

    In prediction it would build the batch sampler of a ``DataLoader`` anew, with arguments of torch's own.

    Args:
        loader: Whose batches are handed out.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)
