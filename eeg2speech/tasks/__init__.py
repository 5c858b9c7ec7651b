from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.tasks.audiomae import AudioMAETask
from eeg2speech.tasks.base import Task
from eeg2speech.tasks.maeeg import MAEEGTask
from eeg2speech.tasks.masked import MaskedTask, Masking

__all__ = ["AlignmentTask", "AudioMAETask", "MAEEGTask", "MaskedTask", "Masking", "Task"]
