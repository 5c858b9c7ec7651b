"""Counts of the operations and bytes of a training step, on tensors that have a shape but no content."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from eeg2speech.audio.waveform import RATE as AUDIO_RATE
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Batch
from eeg2speech.models.audio.cached import CachedAudio
from eeg2speech.models.eeg.subject import SubjectLayer
from eeg2speech.planning.estimate import Footprint, Work
from eeg2speech.tasks import MaskedTask, Task
from eeg2speech.tasks.optimizers import decay_groups


def count_work(compute: Callable[[], Any]) -> Work:
    """Count the work of a computation: FLOPs by torch's formulas, traffic without any fusion of operations."""
    counter = FlopCounterMode(display=False)
    with counter, _Ledger() as ledger:
        compute()
    return Work(counter.get_total_flops(), ledger.traffic, ledger.operations, ledger.peak)


def without_content(module: nn.Module) -> FakeTensorMode:
    """Replace a module's parameters and floating-point buffers by tensors without content, in place.

    Masks and indices keep their content, since branches in the code depend on them.

    Returns:
        Mode whose ``from_tensor`` makes further tensors without content.
    """
    empty = _FakeMode(allow_non_fake_inputs=True)
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
    """Count the cost of one step.

    Args:
        module: Module to train, after ``without_content``.
        loss: Forward pass on a batch.
        make_optimizer: Makes the optimizer of the trained parameters.
        precision: As Lightning names it; mixed precision is emulated on a CPU.
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
        if "foreach" in group and group["foreach"] is None:  # the default; a GPU updates many parameters at once
            group["foreach"] = True
    update = count_work(optimizer.step)
    return Footprint(
        trained=sum(p.numel() for p in trained),
        frozen=sum(p.numel() for p in module.parameters() if not p.requires_grad),
        weights=size([*module.parameters(), *module.buffers()]),
        gradients=gradients,
        optimizer=size(value for values in optimizer.state.values() for value in values.values()),
        # gradients of the last step exist in the forward pass, those of this step at the end of the backward pass
        working=max(0, passes.peak - gradients),
        passes=passes,
        update=update,
    )


def footprint(task: Task, data: Any, precision: str) -> Footprint:
    """Count the cost of a step of a stage on one device.

    Args:
        task: As built from its config; it loses its weights.
        data: Data module, of which sizes are used: ``batch_size``, ``samples``, ``channels``, ``subject_names``,
            ``window`` in seconds and ``audio``.
        precision: As Lightning names it.

    Raises:
        ConfigError: The computation depends on the content of the data.
    """
    if precision in ("bf16-true", "16-true"):
        task.to(torch.bfloat16)
    batch = synthetic_batch(data)
    _settle(task, len(data.subject_names))
    task.train()
    empty = without_content(task)
    batch["eeg"], batch["audio"] = empty.from_tensor(batch["eeg"]), empty.from_tensor(batch["audio"])
    try:
        return measure(
            task,
            lambda: task.step(batch, "train", "train")["loss"],
            lambda: task.optimizer_factory(decay_groups(task, task.lr_scale)),
            precision,
        )
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise ConfigError(
            f"{type(task).__name__}: its computation depends on the data ({error}) and cannot be planned"
        ) from error


def synthetic_batch(data: Any) -> Batch:
    """A batch of the configured size: silence, no missing electrodes, subjects in turn, different stimuli."""
    B, C = data.batch_size, data.channels
    count = torch.arange(B)
    sound = round(data.window * AUDIO_RATE) if data.audio else 0
    zero = torch.zeros(B, dtype=torch.long)
    return {
        "eeg": torch.zeros(B, C, data.samples), "positions": 0.1 * torch.rand(B, C, 3),
        "channel_mask": torch.ones(B, C, dtype=torch.bool), "audio": torch.zeros(B, sound),
        "subject": count % len(data.subject_names), "stimulus": count, "label": zero - 1, "recording": zero,
        "start": zero.double(), "sound_start": zero.double(), "index": count, "seed": count,
    }  # fmt: skip


def size(values: Iterable[Any]) -> int:
    """Bytes of the tensors among some values."""
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))


class _FakeMode(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Asks once whether there is a GPU; torch asks at every operation, which loads the driver's library each time."""

    @cached_property
    def avoid_device_init(self) -> bool:
        return super().avoid_device_init


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the bytes that operations read and write, and those of results that are alive."""

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


def _settle(task: Task, subjects: int) -> None:
    """Bring a task into its state in the middle of training, without data and without a trainer."""
    known = len(getattr(task, "subjects", range(subjects)))
    subject_index = torch.arange(subjects)
    vars(task).update(subject_index=subject_index.where(subject_index < known, -1), log=_ignore)
    if isinstance(task, MaskedTask):
        task.masking = replace(task.masking, start=None)  # the final masking ratio
    for module in list(task.modules()):
        module._compiled_call_impl = None  # compiling takes minutes and does not change the counts
        if isinstance(module, SubjectLayer):
            module.mark_trained(range(len(module.known)))
        if getattr(module, "cache", None) is not None:
            vars(module)["cache"] = None
        for name, part in list(module.named_children()):
            if isinstance(part, CachedAudio):  # as if the cache were empty
                setattr(module, name, part.encoder)


def _ignore(*args: Any, **kwargs: Any) -> None:
    """Replaces logging, which needs a trainer."""
