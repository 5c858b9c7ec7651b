from eeg2speech.training.average_trained import AverageTrained
from eeg2speech.training.checkpoints import AtomicCheckpoint
from eeg2speech.training.compare_baselines import CompareBaselines
from eeg2speech.training.evaluate_alignment import EvaluateAlignment
from eeg2speech.training.evaluate_speech import EvaluateSpeech
from eeg2speech.training.export_encoder import ExportEncoder
from eeg2speech.training.graceful_interrupt import GracefulInterrupt
from eeg2speech.training.log_alignment import LogAlignment
from eeg2speech.training.log_overview import LogOverview
from eeg2speech.training.log_reconstruction import LogReconstruction
from eeg2speech.training.log_speech import LogSpeech
from eeg2speech.training.model_parts import ModelParts
from eeg2speech.training.probe_encoder import ProbeEncoder
from eeg2speech.training.progress import LineProgress, LogThroughput, ThroughputBar
from eeg2speech.training.skip_non_finite import SkipNonFinite
from eeg2speech.training.step_seed import StepSeed
from eeg2speech.training.write_environment import WriteEnvironment
from eeg2speech.training.write_results import WriteResults
from eeg2speech.training.write_speech import WriteSpeech

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
