from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.tasks.audiomae import AudioMAETask
from eeg2speech.tasks.base import Task
from eeg2speech.tasks.maeeg import MAEEGTask
from eeg2speech.tasks.masked import MaskedTask, Masking

if TYPE_CHECKING:
    from eeg2speech.tasks.diffusion import DiffusionTask

__all__ = ["AlignmentTask", "AudioMAETask", "DiffusionTask", "MAEEGTask", "MaskedTask", "Masking", "Task"]


def __getattr__(name: str) -> Any:
    if name == "DiffusionTask":  # diffusers takes seconds to import, which stages 1 and 2 need not wait for
        from eeg2speech.tasks.diffusion import DiffusionTask

        return DiffusionTask
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
