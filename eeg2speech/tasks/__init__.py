from eeg2speech.tasks.base import Task
from eeg2speech.tasks.maeeg import MAEEGTask, Masking

__all__ = ["MAEEGTask", "Masking", "Task"]
