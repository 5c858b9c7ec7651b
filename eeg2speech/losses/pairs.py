"""Pairs of EEG and sound of all processes, with gradients.

Each rank returns the mean loss over its own rows. DDP averages gradients over ranks, and the gradient of
``gather_rows`` sums the gradients of all ranks for a row: together this is the gradient of one process with the whole
batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional as F


@dataclass
class Pairs:
    """This rank's n pairs and the N pairs of all ranks, in float32 or more.

    Attributes:
        eeg: Embeddings of this rank's EEG, (n, K).
        sound: Embeddings of its sounds, (n, K).
        all_eeg: Of all ranks, (N, K).
        all_sound: Of all ranks, (N, K).
        like_eeg: Sum of the EEG embeddings of all ranks with the key of a pair, (n, K).
        like_sound: The same for sounds, (n, K).
        positives: Number of pairs with the key of a pair, (n, 1).
        rows: Mean of n over ranks: a sum divided by it is the mean over all rows after DDP has averaged over ranks.
    """

    eeg: Tensor
    sound: Tensor
    all_eeg: Tensor
    all_sound: Tensor
    like_eeg: Tensor
    like_sound: Tensor
    positives: Tensor
    rows: float


def gather_pairs(eeg: Tensor, sound: Tensor, key: Tensor | None) -> Pairs:
    """Collect the pairs of all ranks.

    Args:
        eeg: Embeddings of this rank's EEG, (n, K).
        sound: Embeddings of its sounds, (n, K).
        key: Equal for windows with the same sound, (n,); None if all differ. All ranks pass keys, or none does.

    Raises:
        ValueError: The shapes do not match.
    """
    if eeg.ndim != 2 or eeg.shape != sound.shape or (key is not None and key.shape != eeg.shape[:1]):
        shapes = ", ".join(str(tuple(x.shape)) for x in (eeg, sound, key) if x is not None)
        raise ValueError(f"embeddings of EEG (n, K), of sounds (n, K) and keys (n,) have shapes {shapes}")
    precision = torch.promote_types(torch.promote_types(eeg.dtype, sound.dtype), torch.float32)
    eeg, sound = eeg.to(precision), sound.to(precision)
    counts = count_rows(eeg)
    all_eeg, all_sound = gather_rows(eeg, counts), gather_rows(sound, counts)
    like_eeg, like_sound, positives = eeg, sound, eeg.new_ones(len(eeg), 1)
    if key is not None:
        groups, group = torch.unique(gather_rows(key, counts), return_inverse=True)
        mine = torch.split(group, counts)[rank_and_world()[0]]
        empty = eeg.new_zeros(len(groups), eeg.shape[1])
        # indexing by `[mine]` would sum its gradient in any order on several threads
        like_eeg, like_sound = (empty.index_add(0, group, rows).index_select(0, mine) for rows in (all_eeg, all_sound))
        positives = group.bincount(minlength=len(groups))[mine, None].to(precision)
    return Pairs(eeg, sound, all_eeg, all_sound, like_eeg, like_sound, positives, sum(counts) / len(counts))


def rank_and_world() -> tuple[int, int]:
    """Rank of this process and number of ranks; (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def count_rows(rows: Tensor) -> list[int]:
    """Number of rows of each rank, in the order of ranks; every rank has to call it."""
    _, world = rank_and_world()
    if world == 1:
        return [len(rows)]
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world)]
    dist.all_gather(counts, torch.full_like(counts[0], len(rows)))
    return [int(count) for count in torch.cat(counts).tolist()]


def gather_rows(rows: Tensor, counts: Sequence[int] | None = None) -> Tensor:
    """Join the rows of all ranks; the gradient of a row is summed over ranks and returned to the row's rank.

    Without a process group it is the identity. Every rank has to call it and to run its backward pass, even if it does
    not use the rows of other ranks.

    Args:
        rows: Of this rank, (B, ...); B may differ between ranks.
        counts: From ``count_rows``; counted if None.

    Returns:
        (N, ...), rank by rank; N is the sum of all B.
    """
    if rank_and_world()[1] == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows, list(counts) if counts is not None else count_rows(rows))
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        # backends gather equal shapes only
        padded = F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, max(counts) - len(rows))).contiguous()
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # a copy, since autograd may use the tensor elsewhere; all-reduce, since Gloo has no reduce-scatter
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return torch.split(total, ctx.counts)[dist.get_rank()].clone(), None
