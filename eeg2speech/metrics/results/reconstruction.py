"""Results of stage 1: reconstruction of hidden patches, and probes of the encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eeg2speech.checkpoints.training_record import UNJUDGED
from eeg2speech.metrics.intervals import Estimate
from eeg2speech.metrics.results.common import MODEL, in_words


@dataclass(frozen=True)
class ReconstructionVerdict:
    """Whether the model reconstructs hidden patches better than every baseline, by their 95 % intervals.

    Attributes:
        better: True: the model's interval lies below that of the best baseline; False: above it; None: they overlap,
            or no baseline was run.
        best_baseline: Baseline with the smallest NMSE; None where none has one.
        seen: What of the split was trained on, in words: then there is no verdict. Empty where nothing was.
    """

    better: bool | None
    best_baseline: str | None
    seen: str = ""

    @property
    def outcome(self) -> bool | None:
        """True in favour of the model, False against it, None where nothing is judged."""
        return None if self.seen else self.better

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.seen:
            return UNJUDGED
        if self.best_baseline is None:
            return "not compared"
        name = in_words(self.best_baseline)
        if self.better is None:
            return f"not distinguishable from {name}"
        return f"better than every baseline ({name} is next)" if self.better else f"worse than {name}"

    @property
    def reasons(self) -> list[str]:
        """Why there is no verdict, if so."""
        return [f"the split is not unseen: {self.seen}"] if self.seen else []


@dataclass(frozen=True)
class ReconstructionSplit:
    """Reconstruction errors on one test split.

    Attributes:
        windows: Number of windows.
        nmse: Normalised mean squared error on hidden patches by method: ``model``, ``mean``, ``nearest``,
            ``interpolation``, ``spline``, ``ridge``, ``kriging``. Lower is better; ``chance`` is 1, the error of
            predicting the training mean. Intervals are over stimuli.
        verdict: The model compared with the best baseline.
    """

    windows: int
    nmse: dict[str, Estimate]
    verdict: ReconstructionVerdict


@dataclass(frozen=True)
class ReconstructionResult:
    """Reconstruction of hidden patches by the model and by baselines on the same masks.

    Attributes:
        judged: Split that the verdict of the run rests on.
        measure: What is measured, in words.
        masking: Settings of the masks: ``ratio``, ``kind``, ``start``, ``ramp``.
        splits: By name.
    """

    judged: str
    measure: str
    masking: dict[str, Any]
    splits: dict[str, ReconstructionSplit]

    @property
    def verdict(self) -> ReconstructionVerdict:
        """Verdict on the judged split."""
        return self.splits[self.judged].verdict


@dataclass(frozen=True)
class ProbedTarget:
    """How well one target is classified from frozen features.

    Attributes:
        groups: Groups that are never both fitted and tested on: ``stimulus`` or ``subject``.
        windows: Number of windows tested.
        accuracy: Balanced accuracy by features (``encoder``, ``untrained_encoder``, ``band_power``) and classifier
            (``linear``, ``knn``); chance is one over the number of classes, intervals are over test groups.
    """

    groups: Literal["stimulus", "subject"]
    windows: int
    accuracy: dict[str, dict[str, Estimate]]


def judge_reconstruction(nmse: Mapping[str, Estimate], seen: str = "") -> ReconstructionVerdict:
    """Compare the model with the baseline of the smallest error; a baseline without a value (NaN) is left out.

    Args:
        nmse: Error by method, ``model`` among them.
        seen: What of the split was trained on, in words; empty where nothing was.
    """
    own = nmse[MODEL]
    others = {name: one for name, one in nmse.items() if name != MODEL and math.isfinite(one.value)}
    if not others:
        return ReconstructionVerdict(None, None, seen)
    best = min(others, key=lambda name: others[name].value)
    better = True if own.high < others[best].low else False if own.low > others[best].high else None
    return ReconstructionVerdict(better, best, seen)
