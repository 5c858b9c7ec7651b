"""A stage as its config builds it, put through one step of training without computing anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from eeg2speech.audio.waveform import RATE as AUDIO_RATE
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Batch
from eeg2speech.models.audio.cached import CachedAudio
from eeg2speech.models.eeg.subject import SubjectLayer
from eeg2speech.planning.measure import Footprint, measure, without_content
from eeg2speech.tasks import MaskedTask, Task
from eeg2speech.tasks.optimizers import decay_groups


def footprint(task: Task, data: Any, precision: str) -> Footprint:
    """Count what a step of a stage costs on one device.

    Args:
        task: As built from its config; its weights are lost.
        data: Data module, asked for sizes alone: ``batch_size``, ``samples``, ``channels``, ``subject_names``,
            ``window`` in seconds and ``audio``.
        precision: As Lightning names it.

    Raises:
        ConfigError: The stage does something on the way that cannot be counted.
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
            f"{type(task).__name__}: what it does depends on the data ({error}); no plan of it"
        ) from error


def synthetic_batch(data: Any) -> Batch:
    """A batch of the configured size: silence, all electrodes there, subjects in turn, every sound another."""
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


def _settle(task: Task, subjects: int) -> None:
    """Bring a task to where it stands in the midst of training, without data and without a trainer."""
    known = len(getattr(task, "subjects", range(subjects)))
    places = torch.arange(subjects)
    vars(task).update(places=places.where(places < known, -1), log=_ignore)
    if isinstance(task, MaskedTask):
        task.masking = replace(task.masking, start=None)  # as it is once it has risen
    for module in list(task.modules()):
        module._compiled_call_impl = None  # the compiler would take minutes, and counts are the same
        if isinstance(module, SubjectLayer):
            module.mark_trained(range(len(module.known)))
        if getattr(module, "cache", None) is not None:
            vars(module)["cache"] = None
        for name, part in list(module.named_children()):
            if isinstance(part, CachedAudio):  # as if nothing were kept yet
                setattr(module, name, part.encoder)


def _ignore(*args: Any, **kwargs: Any) -> None:
    """Take the place of logging, which needs a trainer."""
