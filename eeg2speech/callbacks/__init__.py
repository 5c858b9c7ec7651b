from eeg2speech.callbacks.alignment import TestAlignment
from eeg2speech.callbacks.alignment_pictures import LogAlignment
from eeg2speech.callbacks.averaging import AverageTrained
from eeg2speech.callbacks.baselines import CompareBaselines
from eeg2speech.callbacks.board import LogOverview
from eeg2speech.callbacks.checkpoints import SoundCheckpoint
from eeg2speech.callbacks.export import ExportEncoder
from eeg2speech.callbacks.interrupt import GracefulInterrupt
from eeg2speech.callbacks.line_progress import LineProgress
from eeg2speech.callbacks.model_parts import ModelParts
from eeg2speech.callbacks.nonfinite import SkipNonFinite
from eeg2speech.callbacks.probes import ProbeEncoder
from eeg2speech.callbacks.progress import LogThroughput, ThroughputBar
from eeg2speech.callbacks.provenance import WriteEnvironment
from eeg2speech.callbacks.reconstruction import LogReconstruction
from eeg2speech.callbacks.results import WriteResults
from eeg2speech.callbacks.seeding import StepSeed
from eeg2speech.callbacks.speech import TestSpeech
from eeg2speech.callbacks.speech_files import WriteSpeech
from eeg2speech.callbacks.speech_pictures import LogSpeech

__all__ = [
    "AverageTrained",
    "CompareBaselines",
    "ExportEncoder",
    "GracefulInterrupt",
    "LineProgress",
    "LogAlignment",
    "LogOverview",
    "LogReconstruction",
    "LogSpeech",
    "LogThroughput",
    "ModelParts",
    "ProbeEncoder",
    "SkipNonFinite",
    "SoundCheckpoint",
    "StepSeed",
    "TestAlignment",
    "TestSpeech",
    "ThroughputBar",
    "WriteEnvironment",
    "WriteResults",
    "WriteSpeech",
]
