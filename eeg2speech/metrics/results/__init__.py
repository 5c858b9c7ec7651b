"""The results of a test: one versioned, typed schema, which is the content of ``test.json``.

Evaluations return these classes, ``WriteResults`` writes them, and console, TensorBoard, report, model card and sweep
read them. A field has the name of its key in the file. Names that are data (splits, decoders, controls, variants,
methods, measures) are keys of maps, in snake_case. A number that is not finite is null in the file and NaN here.
"""

from __future__ import annotations

from eeg2speech.metrics.results.alignment import (
    AlignmentResult,
    AlignmentSplit,
    ElectrodeDrop,
    ElectrodeImportance,
    LagResult,
)
from eeg2speech.metrics.results.common import (
    IDEAL,
    JUDGED_SPLIT,
    MODEL,
    GalleryResult,
    NullSummary,
    in_words,
    judged_split,
)
from eeg2speech.metrics.results.file import (
    RESULTS_FILE,
    UNTRAINED_FILE,
    VERSION,
    EvaluatedCheckpoint,
    EvaluatedData,
    Results,
    SeenSplits,
    TrainingSummary,
    read_results,
    write_results,
)
from eeg2speech.metrics.results.reconstruction import (
    ProbedTarget,
    ReconstructionResult,
    ReconstructionSplit,
    ReconstructionVerdict,
    judge_reconstruction,
)
from eeg2speech.metrics.results.speech import (
    VARIANTS,
    CurvePoint,
    RegressionComparison,
    SpeechResult,
    SpeechSplit,
    VariantResult,
)
from eeg2speech.metrics.retrieval import RetrievalResult

__all__ = [
    "IDEAL",
    "JUDGED_SPLIT",
    "MODEL",
    "RESULTS_FILE",
    "UNTRAINED_FILE",
    "VARIANTS",
    "VERSION",
    "AlignmentResult",
    "AlignmentSplit",
    "CurvePoint",
    "ElectrodeDrop",
    "ElectrodeImportance",
    "EvaluatedCheckpoint",
    "EvaluatedData",
    "GalleryResult",
    "LagResult",
    "NullSummary",
    "ProbedTarget",
    "ReconstructionResult",
    "ReconstructionSplit",
    "ReconstructionVerdict",
    "RegressionComparison",
    "Results",
    "RetrievalResult",
    "SeenSplits",
    "SpeechResult",
    "SpeechSplit",
    "TrainingSummary",
    "VariantResult",
    "in_words",
    "judge_reconstruction",
    "judged_split",
    "read_results",
    "write_results",
]
