"""Counting what an optimizer step does, on tensors that have shapes but no content."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Footprint:
    """What one batch on one device and the optimizer step behind it cost. Bytes unless said otherwise.

    Attributes:
        trained: Parameters that are trained, as a number.
        frozen: Other parameters, as a number.
        weights: Of all parameters and buffers.
        gradients: Of the parameters that are trained.
        optimizer: The optimizer's state.
        working: Most that forward and backward pass hold beside all of these: activations, and what is passing.
        flops: Floating-point operations of matrix products, convolutions and attention in forward and backward pass.
        traffic: Read and written by all operations of both passes.
        operations: Number of operations of both passes.
        step_flops: As ``flops``, in the optimizer's step.
        step_traffic: As ``traffic``, in the optimizer's step.
        step_operations: As ``operations``, in the optimizer's step.
    """

    trained: int
    frozen: int
    weights: int
    gradients: int
    optimizer: int
    working: int
    flops: int
    traffic: int
    operations: int
    step_flops: int
    step_traffic: int
    step_operations: int


@dataclass
class Work:
    """What some computation did: FLOPs, bytes moved, operations, and the most bytes it held at once."""

    flops: int = 0
    traffic: int = 0
    operations: int = 0
    peak: int = 0


def count_work(compute: Callable[[], Any]) -> Work:
    """Count what a computation does.

    Args:
        compute: Does it; what it returns is not kept.

    Returns:
        FLOPs by torch's formulas; traffic without any fusion of operations, so rather too much.
    """
    counter = FlopCounterMode(display=False)
    with counter, _Ledger() as ledger:
        compute()
    return Work(counter.get_total_flops(), ledger.traffic, ledger.operations, ledger.peak)


def without_content(module: nn.Module) -> FakeTensorMode:
    """Take the content out of a module's parameters and floating-point buffers, in place.

    Masks and indices stay real, since which way the code goes depends on them.

    Returns:
        What makes further tensors without content, by ``from_tensor``.
    """
    empty = FakeTensorMode(allow_non_fake_inputs=True)
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, value in tensors.items():
                if value is not None and value.is_floating_point():
                    tensors[name] = empty.from_tensor(value)  # type: ignore[assignment]
    return empty


def measure(
    module: nn.Module,
    loss: Callable[[], Tensor],
    make_optimizer: Callable[[], Optimizer],
    precision: str,
) -> Footprint:
    """Count what one step costs.

    Args:
        module: What is trained, after ``without_content``.
        loss: Forward pass on a batch.
        make_optimizer: Of what is trained.
        precision: As Lightning names it; mixed ones are emulated.
    """
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision.endswith("-mixed"))
    trained = [p for p in module.parameters() if p.requires_grad]
    gradients = size(trained)

    def both_passes() -> None:
        with mixed:
            value = loss()
        value.backward()  # type: ignore[no-untyped-call]

    passes = count_work(both_passes)
    optimizer = make_optimizer()
    for group in optimizer.param_groups:
        if "foreach" in group and group["foreach"] is None:  # left open: a GPU takes many parameters at once
            group["foreach"] = True
    step = count_work(optimizer.step)
    state = size(value for values in optimizer.state.values() for value in values.values())
    return Footprint(
        trained=sum(p.numel() for p in trained),
        frozen=sum(p.numel() for p in module.parameters() if not p.requires_grad),
        weights=size([*module.parameters(), *module.buffers()]),
        gradients=gradients,
        optimizer=state,
        # gradients of the step before are there in the forward pass, those of this one at the end of the backward pass
        working=max(0, passes.peak - gradients),
        flops=passes.flops, traffic=passes.traffic, operations=passes.operations,
        step_flops=step.flops, step_traffic=step.traffic, step_operations=step.operations,
    )  # fmt: skip


def size(values: Iterable[Any]) -> int:
    """Bytes of the tensors among some values."""
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations read and write, and what of their results is alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.traffic = self.operations = self.peak = self._alive = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        made = [value for value in tree_leaves(out) if isinstance(value, Tensor)]
        places = {value.untyped_storage()._cdata for value in read}
        new = [value for value in made if value.untyped_storage()._cdata not in places]
        if new or func._schema.is_mutable:  # not a view
            self.operations += 1
            self.traffic += size(read) + size(new)
        for value in new:
            self._enter(value)
        return out

    def _enter(self, value: Tensor) -> None:
        storage = value.untyped_storage()
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self._alive += storage.nbytes()
        self.peak = max(self.peak, self._alive)
        weakref.finalize(storage, self._leave, storage._cdata, storage.nbytes())

    def _leave(self, place: int, held: int) -> None:
        self._known.discard(place)
        self._alive -= held
