from eeg2speech.metrics.comparison import Comparison, Embeddings
from eeg2speech.metrics.intervals import (
    Estimate,
    Interval,
    bootstrap_interval,
    mean_estimate,
    median_estimate,
    median_interval,
)
from eeg2speech.metrics.match_mismatch import PROTOCOL_2023, PROTOCOL_2024, MatchMismatch, Protocol, match_mismatch
from eeg2speech.metrics.null import Null, PairScores, permutation_null, retrieval_scores
from eeg2speech.metrics.reconstruction import NormalizedMSE
from eeg2speech.metrics.retrieval import Retrieval, RetrievalResult, retrieval_report
from eeg2speech.metrics.verdict import Effect, Verdict, judge

__all__ = [
    "PROTOCOL_2023",
    "PROTOCOL_2024",
    "Comparison",
    "Effect",
    "Embeddings",
    "Estimate",
    "Interval",
    "MatchMismatch",
    "NormalizedMSE",
    "Null",
    "PairScores",
    "Protocol",
    "Retrieval",
    "RetrievalResult",
    "Verdict",
    "bootstrap_interval",
    "judge",
    "match_mismatch",
    "mean_estimate",
    "median_estimate",
    "median_interval",
    "permutation_null",
    "retrieval_report",
    "retrieval_scores",
]
