"""Results of stage 2: alignment of EEG and sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from eeg2speech.metrics.intervals import Estimate, Interval
from eeg2speech.metrics.results.common import GalleryResult, NullSummary
from eeg2speech.metrics.retrieval import RetrievalResult
from eeg2speech.metrics.verdict import Verdict


@dataclass(frozen=True)
class LagResult:
    """Retrieval with the EEG moved against its sound.

    Attributes:
        lag: Seconds that the EEG is read later than in training.
        mrr: Mean reciprocal rank.
    """

    lag: float
    mrr: Estimate


@dataclass(frozen=True)
class ElectrodeDrop:
    """The loss in retrieval when the electrodes around one position are set to zero.

    Attributes:
        name: Electrode at the position.
        position: Of this electrode, metres in head coordinates.
        mrr_drop: Mean reciprocal rank of the whole montage minus that without these electrodes; chance is 0.
    """

    name: str
    position: tuple[float, float, float]
    mrr_drop: Estimate


@dataclass(frozen=True)
class ElectrodeImportance:
    """Electrode importance: the loss in retrieval when the electrodes around each of several positions are zero.

    Attributes:
        zeroed: Number of electrodes set to zero around each position.
        drops: One per position.
    """

    zeroed: int
    drops: list[ElectrodeDrop]


@dataclass(frozen=True)
class AlignmentSplit:
    """Alignment of EEG and sound on one test split.

    Attributes:
        windows: Number of windows.
        gallery: Number of different sounds.
        verdict: Whether EEG and sound are aligned.
        figures: Estimates by decoder (``model``, ``ridge_pooled``, ``ridge_own``, ``cca_pooled``, ``cca_own``, and on
            simulated EEG ``ideal_observer``, the ceiling; of a model with matched filters also ``network`` and
            ``matched_filters``, its two kinds of similarity apart) and measure (``top1``, ``top5``, ``top10``, ``mrr``,
            ``median_rank``, ``match_2023``, ``match_2024``), all on the windows as they are and in the whole gallery.
        protocol_windows: ``match_2023`` and ``match_2024`` of the model in windows as long as those of the published
            protocols; empty if no windows are contiguous or if the model computes no embedding for each step.
        controls_mrr: Mean reciprocal rank with EEG that carries no information about the sound, by control: ``noise``,
            ``phase_randomised``, ``another_trial``, ``zeros``, ``subject_only``; and ``untrained``, the model with
            random weights.
        permutations: Permutation nulls of the model's ``mrr`` and ``top10``.
        retrieval: Retrieval of the model in both directions, for several galleries and for each subject.
        galleries: ``top1``, ``top5`` and ``top10`` of the model for growing galleries.
        lag_curve: Retrieval with the EEG shifted relative to its sound, in the order of the given lags.
        geometry: ``modality_gap``, ``alignment``, ``uniformity_eeg``, ``uniformity_sound``, ``cka``,
            ``effective_rank_eeg``, ``effective_rank_sound`` and ``hubness`` of the embeddings.
        audio_block_cka: Similarity (CKA) of the EEG embeddings with each block of the audio encoder, the first first.
        electrodes: Electrode importance; computed on the judged split only.
        share_of_ceiling: How much of the way from chance to the ideal observer the model reaches, by measure (``top1``,
            ``top5``, ``top10``, ``mrr``); empty without an ideal observer.
    """

    windows: int
    gallery: int
    verdict: Verdict
    figures: dict[str, dict[str, Estimate]]
    protocol_windows: dict[str, Estimate]
    controls_mrr: dict[str, Estimate]
    permutations: dict[str, NullSummary]
    retrieval: list[RetrievalResult]
    galleries: dict[str, list[GalleryResult]]
    lag_curve: list[LagResult]
    geometry: dict[str, float]
    audio_block_cka: list[float]
    electrodes: ElectrodeImportance | None = None
    share_of_ceiling: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class AlignmentResult:
    """Whether a model aligns EEG with sound, compared with permutations, controls and linear decoders.

    Attributes:
        judged: Split that the verdict of the run rests on.
        measure: What is measured, in words.
        window: Duration of the windows, in seconds.
        similarity: How windows are compared: ``steps``, ``window`` or ``pooled``, as in the aligner's settings.
        splits: By name.
    """

    judged: str
    measure: str
    window: float
    similarity: str
    splits: dict[str, AlignmentSplit]

    @property
    def verdict(self) -> Verdict:
        """Verdict on the judged split."""
        return self.splits[self.judged].verdict
