"""Aligned or not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eeg2speech.checkpoints.training_record import UNJUDGED
from eeg2speech.metrics.bootstrap import Interval
from eeg2speech.metrics.null import Null

FEWEST = 1000
"""Permutations below which no verdict is given in favour of a model."""


@dataclass(frozen=True)
class Effect:
    """How large the effect is.

    Attributes:
        z: Distance from the permutations' mean in their standard deviations.
        ratio: Figure over the permutations' mean.
    """

    z: float
    ratio: float


@dataclass(frozen=True)
class Verdict:
    """Whether EEG and sound are aligned.

    Attributes:
        aligned: The figure exceeds the 99th percentile of the permutations and every control.
        reasons: In words; of an aligned model what it exceeds, else everything that speaks against it.
        p: One-sided p-value against the permutations.
        effect: Its size.
        seen: What of the split was trained on, in words: then there is no verdict. Empty where nothing was.
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


def judge(null: Null, controls: Mapping[str, Interval], measure: str = "MRR", seen: str = "") -> Verdict:
    """Judge a model by its retrieval on held-out stimuli.

    The mean reciprocal rank is the measure meant: it uses every rank, so it moves where top-10 is full (galleries of
    ten or a strong model) and where top-1 is empty (a weak model, a large gallery).

    Args:
        null: The model's figure with its permutations.
        controls: Figure of each control on the same windows; a model has to exceed the upper bound of its interval.
            Linear baselines, which may truly decode, are no controls.
        measure: Name of the figure.
        seen: What of the split was trained on, in words; empty where nothing was.
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
        f"but control {name} is itself above the 99th percentile of the permutations ({figure.value:.3f}): "
        "part of the figure may not come from the EEG"
        for name, figure in controls.items()
        if figure.value > null.threshold
    ]
    return Verdict(True, reasons, null.p, effect)


def _against_permutations(null: Null, measure: str) -> list[str]:
    if not np.isfinite(null.observed):
        return [f"{measure} is not a number"]
    if not null.windows:
        return ["no sound could be permuted: every story has a single sound"]
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
    for name, figure in controls.items():
        bound = figure.high if np.isfinite(figure.high) else figure.value
        if not np.isfinite(figure.value):
            against.append(f"control {name} is not a number: it has no windows, or what the model gives is not finite")
        elif not value > figure.value:
            against.append(f"{measure} {value:.3f} does not exceed control {name} ({figure.value:.3f})")
        elif not value > bound:
            against.append(
                f"{measure} {value:.3f} exceeds control {name} ({figure.value:.3f}) but not the upper bound of its "
                f"interval ({bound:.3f})"
            )
    return against
