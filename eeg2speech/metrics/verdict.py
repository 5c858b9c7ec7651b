"""Verdicts: whether a model's score exceeds its permutations and its controls, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eeg2speech.checkpoints.training_record import UNJUDGED
from eeg2speech.metrics.comparison import Comparison, Numbers
from eeg2speech.metrics.identification import WAYS, identify
from eeg2speech.metrics.intervals import Estimate, Interval, mean_estimate
from eeg2speech.metrics.null import Null, permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import Scores, top

FEWEST = 1000
"""Fewest permutations for a positive verdict."""
JUDGED = 10
"""Number of sounds to choose from in the identification that is judged."""
CONTROLS = ("noise", "another_trial")
"""Controls that a verdict on generated speech needs: EEG replaced by noise, or by another trial of the same subject."""


@dataclass(frozen=True)
class Effect:
    """Size of an effect.

    Attributes:
        z: Distance from the mean of the permutations in their standard deviations.
        ratio: Score over the mean of the permutations.
    """

    z: float
    ratio: float


@dataclass(frozen=True)
class Verdict:
    """Whether EEG and sound are aligned.

    Attributes:
        aligned: The score exceeds the 99th percentile of the permutations and every control.
        reasons: What an aligned model exceeds, else everything that contradicts alignment.
        p: One-sided p-value against the permutations.
        effect: Size of the effect.
        seen: Overlap of the split with the training data, in words: with overlap there is no verdict. Empty without.
    """

    aligned: bool
    reasons: list[str]
    p: float
    effect: Effect
    seen: str = ""

    @property
    def outcome(self) -> bool | None:
        """True in favour of the model, False against it, None where nothing is judged."""
        return None if self.seen else self.aligned

    @property
    def words(self) -> str:
        """The verdict in words."""
        return UNJUDGED if self.seen else "aligned" if self.aligned else "not aligned"


@dataclass(frozen=True)
class SpeechVerdict:
    """Whether speech generated from EEG carries information about the presented sound.

    Attributes:
        informed: Identification exceeds the 99th percentile of the permutations and the upper bound of every control.
        reasons: What an informed model exceeds, else everything that contradicts information.
        way: Number of sounds to choose from in the identification that was judged.
        estimate: That identification.
        p: One-sided p-value against the permutations.
        effect: Size of the effect.
        differences: Identification from EEG minus that of each control, on the clips that both have, with paired
            intervals over stimuli. They are reported and do not enter the verdict.
        seen: As in ``Verdict``.
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


def judge(null: Null, controls: Mapping[str, Interval], measure: str = "MRR", seen: str = "") -> Verdict:
    """Judge a model by its retrieval on held-out stimuli.

    The intended score is the mean reciprocal rank. It uses every rank, so that it also varies where top-10 is
    saturated (galleries of ten, a strong model) and where top-1 is near zero (a weak model, a large gallery).

    Args:
        null: The model's score with its permutations.
        controls: Score of each control on the same windows; a model has to exceed the upper bound of its interval.
            Linear baselines may decode speech and are no controls.
        measure: Name of the score.
        seen: Overlap of the split with the training data, in words; empty without overlap.
    """
    controls = {name.replace("_", " "): figure for name, figure in controls.items()}
    against = [*_against_permutations(null, measure), *_against_controls(null.observed, controls, measure)]
    effect = Effect(null.z, null.ratio)
    if seen:
        return Verdict(False, [f"the split is not unseen: {seen}", *against], null.p, effect, seen)
    if against:
        return Verdict(False, against, null.p, effect)
    highest = max(controls, key=lambda name: controls[name].value)
    reasons = [
        f"{measure} {null.observed:.3f} exceeds the 99th percentile of {len(null.draws)} permutations "
        f"({null.threshold:.3f}) and every control (highest: {highest}, {controls[highest].value:.3f})"
    ]
    reasons += [
        f"but control {name} also exceeds the 99th percentile of the permutations ({score.value:.3f}): "
        "part of the model's score may not come from the EEG"
        for name, score in controls.items()
        if score.value > null.threshold
    ]
    return Verdict(True, reasons, null.p, effect)


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
        comparison: Comparison of clips from EEG with all different sounds of the split.
        controls: ``identify`` of each control's clips for the same windows and the same ``way``, (n,); NaN where a
            control has no such window. ``noise`` and ``another_trial`` are required.
        way: Number of sounds to choose from; unset: see ``judged_way``.
        group: Group of each clip, (n,), within which sounds are permuted. The stimulus by default.
        permutations: Number of permutations; a positive verdict needs 1000.
        seed: Seed of all draws.
        seen: Overlap of the split with the training data, in words; empty without overlap.
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
    """Number of sounds to choose from in the identification that is judged: 10, or less in a smaller gallery."""
    return max((way for way in ways if way <= min(JUDGED, gallery)), default=gallery)


def _against_permutations(null: Null, measure: str) -> list[str]:
    if not np.isfinite(null.observed):
        return [f"{measure} is not a number"]
    if not null.windows:
        return ["no sound could be permuted: every group of windows (by default a stimulus) has a single sound"]
    against = []
    if len(null.draws) < FEWEST:
        against.append(f"only {len(null.draws)} permutations; a verdict needs {FEWEST}")
    if not null.observed > null.threshold + 1e-9:
        against.append(
            f"{measure} {null.observed:.3f} does not exceed the 99th percentile of the permutations "
            f"({null.threshold:.3f}; p = {null.p:.3g})"
        )
    return against


def _against_controls(value: float, controls: Mapping[str, Interval], measure: str) -> list[str]:
    if not controls:
        return ["no control was run"]
    against = []
    for name, score in controls.items():
        bound = score.high if np.isfinite(score.high) else score.value
        if not np.isfinite(score.value):
            against.append(f"control {name} is not a number: it has no windows, or the model's output is not finite")
        elif not value > score.value:
            against.append(f"{measure} {value:.3f} does not exceed control {name} ({score.value:.3f})")
        elif not value > bound:
            against.append(
                f"{measure} {value:.3f} exceeds control {name} ({score.value:.3f}) but not the upper bound of its "
                f"interval ({bound:.3f})"
            )
    return against
