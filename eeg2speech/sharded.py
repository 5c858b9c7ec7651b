"""Weights that are dealt out to processes: each holds its rows of every tensor (FSDP2).

A dealt-out tensor says its whole shape, but numbers leave it only in an exchange that every process has to take part
in. What is not dealt out passes through these functions as it is, so that callers need no second path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

BUCKET = 2**28
"""Bytes of whole tensors behind which an exchange is made."""


def shard(module: nn.Module, mesh: Any, methods: tuple[str, ...] = ()) -> None:
    """Deal out the weights of a module that are not dealt out yet, in place.

    They come together for a call of the module, in both passes, and part again.

    Args:
        module: Its class becomes a subclass of the one it was.
        mesh: Of processes, of one dimension.
        methods: That are called besides ``forward``.
    """
    if isinstance(module, FSDPModule) or not any(True for _ in module.parameters()):
        return
    # even of the outermost, which would else stay whole after a pass without gradients
    fully_shard(module, mesh=mesh, reshard_after_forward=True)
    for method in methods:
        register_fsdp_forward_method(module, method)


def gather(module: nn.Module) -> None:
    """Bring the weights together until ``deal_out`` is called: processes may then call the module differently often."""
    for inner in _dealt_out(module):
        inner.set_reshard_after_forward(False, recurse=False)
        inner.unshard()


def deal_out(module: nn.Module) -> None:
    """Let every process keep its rows alone again."""
    for inner in _dealt_out(module):
        inner.reshard()
        inner.set_reshard_after_forward(True, recurse=False)


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Have the weights together in a block; see ``gather``."""
    gather(module)
    try:
        yield
    finally:
        deal_out(module)


def is_dealt_out(module: nn.Module) -> bool:
    """Whether some of its weights are."""
    return bool(_dealt_out(module))


def _dealt_out(module: nn.Module) -> list[FSDPModule]:
    return [inner for inner in module.modules() if isinstance(inner, FSDPModule)]


def whole(value: Tensor) -> Tensor:
    """The whole tensor, on every process; all have to ask for it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def all_whole(values: Mapping[Any, Tensor]) -> dict[Any, Tensor]:
    """Whole tensors on the CPU, on the first process; on others some are as they were. All have to ask for them.

    Thousands of small ones cost a few exchanges, not one each.
    """
    found, size = dict(values), 0
    waiting: list[Any] = []
    for name, value in values.items():
        if not isinstance(value, DTensor):
            found[name] = value.detach().cpu()
            continue
        if waiting and (size > BUCKET or value.dtype != values[waiting[0]].dtype):
            found.update(_exchanged(values, waiting))
            waiting, size = [], 0
        waiting.append(name)
        size += value.numel() * value.element_size()
    return {**found, **_exchanged(values, waiting)} if waiting else found


def _exchanged(values: Mapping[Any, Tensor], names: Sequence[Any]) -> dict[Any, Tensor]:
    first = values[names[0]]
    assert isinstance(first, DTensor)
    mesh = first.device_mesh
    counts = [-(-len(values[name]) // mesh.size()) for name in names]  # rows of a process; the last ones may have fewer
    rows = [rows_of(values[name]).detach() for name in names]
    padded = [
        torch.cat([own.flatten(), own.new_zeros((count - len(own)) * math.prod(own.shape[1:]))])
        for own, count in zip(rows, counts, strict=True)
    ]
    everyones = padded[0].new_empty(mesh.size() * sum(map(len, padded)))
    torch.distributed.all_gather_into_tensor(everyones, torch.cat(padded), group=mesh.get_group())
    if mesh.get_local_rank():
        return {}
    parts = torch.split(everyones.cpu().view(mesh.size(), -1), [len(own) for own in padded], dim=1)
    return {
        name: part.reshape(-1, *values[name].shape[1:])[: len(values[name])].clone()
        for name, part in zip(names, parts, strict=True)
    }


def rows_of(value: Tensor) -> Tensor:
    """This process's rows, in the tensor's own memory."""
    return value.to_local() if isinstance(value, DTensor) else value


@torch.no_grad()
def dealt_like(value: Tensor, example: Any) -> Tensor:
    """This process's rows of a whole tensor, if those of an example of the same shape are dealt out.

    Args:
        value: The same on every process; nothing is exchanged.
        example: A weight, or whatever else stands in its place.
    """
    if not isinstance(example, DTensor) or isinstance(value, DTensor) or value.shape != example.shape:
        return value
    mesh, own = example.device_mesh, example.to_local()
    start = mesh.get_local_rank() * -(-len(value) // mesh.size())
    rows = value[start : start + len(own)].to(own.device, copy=True)  # else they would keep the whole in memory
    return DTensor.from_local(
        rows, mesh, example.placements, run_check=False, shape=example.shape, stride=example.stride()
    )
