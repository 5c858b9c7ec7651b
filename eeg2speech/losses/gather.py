"""Rows of all processes, with gradient.

Whoever uses it lets each rank return the mean over its own rows. DDP averages gradients over ranks, and the gradient of
``gather_rows`` adds up what all ranks owe to a row: together this is the gradient of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional as F


def rank_and_world() -> tuple[int, int]:
    """This process's rank, and how many there are; (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def count_rows(rows: Tensor) -> list[int]:
    """How many rows each rank holds, in the order of ranks; every rank has to call it."""
    _, world = rank_and_world()
    if world == 1:
        return [len(rows)]
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world)]
    dist.all_gather(counts, torch.full_like(counts[0], len(rows)))
    return [int(count) for count in torch.cat(counts).tolist()]


def gather_rows(rows: Tensor, counts: Sequence[int] | None = None) -> Tensor:
    """Join the rows of all ranks; gradients flow back to where a row came from, summed over ranks.

    Without a process group it is the identity. Every rank has to call it, also where the other ranks' rows are of no
    use to it, and has to go through its backward pass.

    Args:
        rows: This rank's, (B, ...); B may differ between ranks.
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
        # a copy: autograd may hand the same tensor to others. All-reduce, as Gloo knows no reduce-scatter
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return torch.split(total, ctx.counts)[dist.get_rank()].clone(), None
