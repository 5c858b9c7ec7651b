"""Results of stage 3: generated speech."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from eeg2speech.metrics.frechet import Frechet
from eeg2speech.metrics.identification import Memorisation
from eeg2speech.metrics.intervals import Estimate
from eeg2speech.metrics.results.common import GalleryResult
from eeg2speech.metrics.verdict import SpeechVerdict

VARIANTS = ("truth", "round_trip", "loa", "eeg", "mel_regression", "noise", "another_trial", "unconditional")
"""Ids of the variants of a clip: the recording; the recording through autoencoder and vocoder; speech generated from
the recording's own LOA and spectrogram, which is the upper limit for EEG; speech from EEG; the spectrogram that linear
regression predicts from EEG, through the vocoder; speech from noise instead of EEG; from EEG of another trial of the
same subject; and without a condition."""


@dataclass(frozen=True)
class VariantResult:
    """The clips of one variant.

    Attributes:
        clips: Number of clips; ``another_trial`` leaves out windows without a trial of another sound.
        identification: Share of clips that are nearest to their own sound among 2, 10 and 50 sounds, as far as the
            gallery has so many, in the space of an audio encoder that has no part in the model.
        identification_log_mel: The same in log mel spectrograms.
        quality: Means of figures against the recording, with intervals over stimuli and without a chance level (NaN):
            ``mel_corr``, ``band_corr``, ``mcd_dtw``, ``lsd`` and, where installed, ``stoi``, ``estoi``, ``pesq``,
            ``wer``, ``dnsmos``, ``speaker_similarity``; empty for ``truth``.
        missing: Number of clips without a value by figure, where there are any.
        frechet: Frechet distance from the real sounds of the split.
        memorised: How near the clips are to training sounds.
    """

    clips: int
    identification: list[GalleryResult]
    identification_log_mel: list[GalleryResult]
    quality: dict[str, Estimate]
    missing: dict[str, int]
    frechet: Frechet
    memorised: Memorisation

    def among(self, way: int) -> GalleryResult | None:
        """Identification among ``way`` sounds; None where it was not measured."""
        return next((one for one in self.identification if one.gallery == way), None)


@dataclass(frozen=True)
class RegressionComparison:
    """Speech from EEG compared with the linear mel regression, on the same windows.

    Attributes:
        difference: Identification of speech from EEG minus that of the regression, in the space of the judging audio
            encoder and among as many sounds as in the verdict, with a paired interval over stimuli.
        difference_log_mel: The same in log mel spectrograms, which the regression predicts.
    """

    difference: Estimate
    difference_log_mel: Estimate

    @property
    def outcome(self) -> Literal["better", "worse", "indistinguishable"]:
        """Of the generative model: on which side of 0 the interval of ``difference`` lies."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "indistinguishable"


@dataclass(frozen=True)
class CurvePoint:
    """Speech from EEG at one setting between fidelity and naturalness.

    Attributes:
        start: Noise level at which sampling starts (``sampler.start``).
        identification: Among as many sounds as in the verdict, in the space of the judging audio encoder.
        identification_log_mel: The same in log mel spectrograms.
        frechet: Frechet distance from the real sounds of the split.
    """

    start: float
    identification: Estimate
    identification_log_mel: Estimate
    frechet: Frechet


@dataclass(frozen=True)
class SpeechSplit:
    """Generated speech on one test split.

    Attributes:
        windows: Number of windows, each of which every variant generates.
        gallery: Number of different real sounds that each clip is compared with.
        stimuli: Number of stimuli.
        pretrained_stimuli: Stimuli that the pretrained components record as trained on.
        verdict: Whether EEG carries speech information.
        regression: Comparison of speech from EEG with the linear mel regression.
        variants: Results by variant, in the order of ``VARIANTS``.
        curve: Speech from EEG by the noise level of the start, that of the sampler included; on the judged split only.
    """

    windows: int
    gallery: int
    stimuli: int
    pretrained_stimuli: list[str]
    verdict: SpeechVerdict
    regression: RegressionComparison
    variants: dict[str, VariantResult]
    curve: list[CurvePoint] = field(default_factory=list)


@dataclass(frozen=True)
class SpeechResult:
    """Whether speech generated from EEG carries information about the presented sound, and its quality.

    Attributes:
        judged: Split that the verdict of the run rests on.
        measure: What is measured, in words.
        window: Duration of the windows, in seconds.
        sampler: Settings of the sampler: ``solver``, ``steps``, ``guidance``, ``start``.
        left_out: Figures of quality that were not computed, with the reason.
        splits: By name.
    """

    judged: str
    measure: str
    window: float
    sampler: dict[str, Any]
    left_out: dict[str, str]
    splits: dict[str, SpeechSplit]

    @property
    def verdict(self) -> SpeechVerdict:
        """Verdict on the judged split."""
        return self.splits[self.judged].verdict
