from eeg2speech.training.alignment import EvaluateAlignment
from eeg2speech.training.alignment_pictures import LogAlignment
from eeg2speech.training.averaging import AverageTrained
from eeg2speech.training.baselines import CompareBaselines
from eeg2speech.training.checkpoints import AtomicCheckpoint
from eeg2speech.training.export import ExportEncoder
from eeg2speech.training.interrupt import GracefulInterrupt
from eeg2speech.training.line_progress import LineProgress
from eeg2speech.training.model_parts import ModelParts
from eeg2speech.training.nonfinite import SkipNonFinite
from eeg2speech.training.overview import LogOverview
from eeg2speech.training.probes import ProbeEncoder
from eeg2speech.training.progress import LogThroughput, ThroughputBar
from eeg2speech.training.provenance import WriteEnvironment
from eeg2speech.training.reconstruction import LogReconstruction
from eeg2speech.training.results import WriteResults
from eeg2speech.training.seeding import StepSeed
from eeg2speech.training.speech import EvaluateSpeech
from eeg2speech.training.speech_files import WriteSpeech
from eeg2speech.training.speech_pictures import LogSpeech

__all__ = [
    "AtomicCheckpoint",
    "AverageTrained",
    "CompareBaselines",
    "EvaluateAlignment",
    "EvaluateSpeech",
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
    "StepSeed",
    "ThroughputBar",
    "WriteEnvironment",
    "WriteResults",
    "WriteSpeech",
]
