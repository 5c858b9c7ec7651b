"""Does EEG carry speech information, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eeg2speech.checkpoints.training_record import UNJUDGED
from eeg2speech.metrics.comparison import Comparison, Numbers
from eeg2speech.metrics.estimate import Estimate, mean_estimate
from eeg2speech.metrics.identification import WAYS, identify
from eeg2speech.metrics.null import permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import Scores, top
from eeg2speech.metrics.verdict import Effect, judge

JUDGED = 10
"""The way that a verdict rests on."""
CONTROLS = ("noise", "another_trial")
"""Variants that a verdict needs: the same model with EEG that is noise, or of another trial of the same subject."""


@dataclass(frozen=True)
class SpeechVerdict:
    """Whether EEG carries speech information, as far as this model can tell.

    Attributes:
        informed: Identification exceeds the 99th percentile of the permutations and the upper bound of every control.
        reasons: In words; what it exceeds, else everything that speaks against it.
        way: Sounds to choose from in the identification that was judged.
        estimate: That identification.
        p: One-sided p-value against the permutations.
        effect: Its size.
        differences: EEG minus each control, on the clips that both have, with paired intervals over stimuli; reported,
            not judged by.
        seen: What of the split was trained on, in words: then there is no verdict. Empty where nothing was.
    """

    informed: bool
    reasons: list[str]
    way: int
    estimate: Estimate
    p: float
    effect: Effect
    differences: dict[str, Estimate]
    seen: str = ""

    @property
    def outcome(self) -> bool | None:
        """True in favour of the model, False against it, None where nothing is judged."""
        return None if self.seen else self.informed

    @property
    def words(self) -> str:
        """The verdict in words."""
        good, bad = "EEG carries speech information", "no speech information from EEG"
        return UNJUDGED if self.seen else good if self.informed else bad


def judge_speech(
    comparison: Comparison,
    controls: Mapping[str, Scores],
    way: int | None = None,
    group: Numbers | None = None,
    permutations: int = 1000,
    seed: int = 0,
    seen: str = "",
) -> SpeechVerdict:
    """Judge clips that were generated from EEG.

    Args:
        comparison: Of clips from EEG and all different sounds of the split.
        controls: ``identify`` of the clips of each control for the same windows and at the same way, (n,); NaN where a
            control has no such window. Needs ``noise`` and ``another_trial``.
        way: Sounds to choose from; unset: see ``judged_way``.
        group: Of each clip, (n,): what sounds are shuffled within. The stimulus by default.
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        seed: Of all draws.
        seen: What of the split was trained on, in words; empty where nothing was.
    """
    way = judged_way(comparison.similarity.shape[1]) if way is None else way
    own, stimulus = identify(comparison, way), comparison.stimulus
    null = permutation_null(retrieval_scores(comparison, top(1, way), group), permutations, seed)
    estimates = {name: mean_estimate(scores, 1 / way, stimulus, seed=seed) for name, scores in controls.items()}
    verdict = judge(null, estimates, f"{way}-way identification", seen)
    missing = [f"control {name.replace('_', ' ')} was not run" for name in CONTROLS if name not in controls]
    against = [] if verdict.aligned and missing else verdict.reasons
    return SpeechVerdict(
        verdict.aligned and not missing,
        against + missing,
        way,
        mean_estimate(own, 1 / way, stimulus, seed=seed),
        verdict.p,
        verdict.effect,
        {name: mean_estimate(own - scores, 0.0, stimulus, seed=seed) for name, scores in controls.items()},
        seen,
    )


def judged_way(gallery: int, ways: Sequence[int] = WAYS) -> int:
    """The way that a verdict on a gallery of so many sounds rests on: 10, or the largest that is possible below."""
    return max((way for way in ways if way <= min(JUDGED, gallery)), default=gallery)
