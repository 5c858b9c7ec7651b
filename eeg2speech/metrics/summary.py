"""The verdicts of a test in words and numbers, for console, TensorBoard, report and model card to lay out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from eeg2speech.checkpoints.training_record import join_names
from eeg2speech.metrics.intervals import Estimate, Interval
from eeg2speech.metrics.results import (
    IDEAL,
    MODEL,
    AlignmentResult,
    AlignmentSplit,
    NullSummary,
    ReconstructionResult,
    ReconstructionSplit,
    Results,
    SpeechResult,
    SpeechSplit,
    in_words,
    judged_split,
)

SPLITS = {
    "train": "training",
    "val": "validation",
    "unseen_stimulus": "unseen stimuli",
    "unseen_subject": "unseen subjects",
    "unseen_both": "unseen stimuli and subjects",
}
"""Splits in words, in the order of a report."""
VARIANT_TITLES = {
    "truth": "recording",
    "round_trip": "vocoder reconstruction of the recording",
    "loa": "speech from the features of the recording (upper limit)",
    "eeg": "speech from EEG",
    "mel_regression": "linear mel regression from EEG",
    "noise": "speech from noise instead of EEG",
    "another_trial": "speech from EEG of another trial",
    "unconditional": "speech without a condition",
}
"""Variants of a clip in words, in the order of a report."""
COMPARED_VARIANTS = ("loa", "eeg", "mel_regression", "noise", "another_trial", "unconditional")
"""Variants shown with a verdict on speech: the upper limit, the model, the linear regression, and clips without
information on the sound."""

ComparedResult = ReconstructionResult | AlignmentResult | SpeechResult


@dataclass(frozen=True)
class SplitVerdict:
    """The verdict on one test split, and the figure that it is based on.

    Attributes:
        split: Name of the split.
        title: The split in words.
        words: The verdict.
        outcome: True in favour of the model, False against it, None where no judgement is made.
        reasons: Why.
        measure: Name of the figure.
        label: What the figure measures.
        compared: The figure of the model and of what it is compared with, by title.
        own: Title of the model among them.
        null: Distribution of the figure under permutations; None without one.
        chance_name: What gives the chance level.
    """

    split: str
    title: str
    words: str
    outcome: bool | None
    reasons: Sequence[str]
    measure: str
    label: str
    compared: Mapping[str, Estimate]
    own: str
    null: NullSummary | None = None
    chance_name: str = "chance"

    @property
    def estimate(self) -> Estimate:
        """The figure of the model."""
        return self.compared[self.own]


def split_verdicts(found: ComparedResult | None) -> list[SplitVerdict]:
    """Verdicts of a test, that on the judged split first; empty if the test made no comparison.

    Args:
        found: ``Results.compared``.
    """
    if found is None:
        return []
    return [_split_verdict(split, found.splits[split]) for split in splits_in_order(found.splits, found.judged)]


def main_figures(results: Results) -> dict[str, float]:
    """The figures of the judged split by which runs are compared; ``verdict`` is 1 in favour of the model, else 0."""
    found: dict[str, float] = {}
    if results.reconstruction is not None:
        found["nmse"] = results.reconstruction.splits[results.reconstruction.judged].nmse[MODEL].value
    elif errors := {tag.split("/")[1]: value for tag, value in results.metrics.items() if tag.endswith("/nmse")}:
        found["nmse"] = errors[judged_split(errors)]
    if results.alignment is not None:
        figures = results.alignment.splits[results.alignment.judged].figures[MODEL]
        found |= {name: figures[name].value for name in ("mrr", "top10")}
        found["verdict"] = float(results.alignment.verdict.outcome is True)
    if results.speech is not None:
        found["identification"] = results.speech.verdict.estimate.value
        found["verdict"] = float(results.speech.verdict.outcome is True)
    return found


def splits_in_order(splits: Mapping[str, object], judged: str) -> list[str]:
    """Names of splits, the judged one first."""
    names = [name for name in SPLITS if name in splits] + [name for name in splits if name not in SPLITS]
    return sorted(names, key=lambda name: name != judged)


def split_title(split: str, seen: str = "") -> str:
    """A split in words.

    Args:
        split: Its name.
        seen: What of the split was trained on, in words; empty if nothing was.
    """
    return SPLITS.get(split, in_words(split)) + (" (NOT UNSEEN)" if seen else "")


def variant_title(variant: str) -> str:
    """A variant of a clip in words."""
    return VARIANT_TITLES.get(variant, in_words(variant))


def number(value: float | None) -> str:
    """A number with three significant digits, whole above 100; ``n/a`` for None, NaN and infinity."""
    if value is None or not math.isfinite(value):
        return "n/a"
    size = abs(value)
    whole = size >= 100 or (size >= 1 and size == int(size))
    digits = 0 if whole else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def bounds(estimate: Interval) -> tuple[str, str] | None:
    """Bounds of an interval as text; None if they do not exist or coincide."""
    low, high = estimate.low, estimate.high
    exist = math.isfinite(low) and math.isfinite(high) and not low == high == estimate.value
    return (number(low), number(high)) if exist else None


def with_interval(estimate: Interval) -> str:
    """A value with its interval in brackets."""
    found = bounds(estimate)
    return number(estimate.value) + ("" if found is None else f" [{found[0]}, {found[1]}]")


def _split_verdict(split: str, found: ReconstructionSplit | AlignmentSplit | SpeechSplit) -> SplitVerdict:
    if isinstance(found, SpeechSplit):
        return _speech_verdict(split, found)
    if isinstance(found, AlignmentSplit):
        return _alignment_verdict(split, found)
    return _reconstruction_verdict(split, found)


def _reconstruction_verdict(split: str, found: ReconstructionSplit) -> SplitVerdict:
    verdict, nmse = found.verdict, found.nmse
    names = sorted(nmse, key=lambda name: (math.isnan(nmse[name].value), nmse[name].value))
    figures = f"NMSE on hidden patches: model {with_interval(nmse[MODEL])}"
    if verdict.best_baseline is not None:
        figures += f", {in_words(verdict.best_baseline)} {with_interval(nmse[verdict.best_baseline])}"
    reasons = [*verdict.reasons, figures, "predicting the mean gives 1; there is no verdict if the intervals overlap"]
    return SplitVerdict(
        split, split_title(split, verdict.seen), verdict.words, verdict.outcome, reasons, "NMSE",
        "NMSE, lower is better", {in_words(name): nmse[name] for name in names}, MODEL,
        chance_name="predicting the mean",
    )  # fmt: skip


def _alignment_verdict(split: str, found: AlignmentSplit) -> SplitVerdict:
    verdict = found.verdict
    compared = {MODEL: found.figures[MODEL]["mrr"]} | {in_words(key): one for key, one in found.controls_mrr.items()}
    reasons = [*verdict.reasons, f"p = {verdict.p:.2g}, z = {number(verdict.effect.z)}, {found.windows} windows"]
    if IDEAL in found.figures and "mrr" in found.share_of_ceiling:
        share = Interval(*(100 * value for value in astuple(found.share_of_ceiling["mrr"])))
        reasons.append(
            f"{with_interval(share)} % of the way from chance to the ideal observer, whose MRR is "
            f"{with_interval(found.figures[IDEAL]['mrr'])}"
        )
    return SplitVerdict(
        split, split_title(split, verdict.seen), verdict.words, verdict.outcome, reasons, "MRR", "MRR", compared, MODEL,
        found.permutations["mrr"],
    )  # fmt: skip


def _speech_verdict(split: str, found: SpeechSplit) -> SplitVerdict:
    verdict = found.verdict
    points = {name: found.variants[name].among(verdict.way) for name in COMPARED_VARIANTS if name in found.variants}
    compared = {variant_title(name): point.estimate for name, point in points.items() if point is not None}
    compared[variant_title("eeg")] = verdict.estimate
    reasons = [*verdict.reasons, f"p = {verdict.p:.2g}, z = {number(verdict.effect.z)}, {found.windows} clips"]
    outcome, regression = found.regression.outcome, found.variants["mel_regression"].among(verdict.way)
    relation = "indistinguishable from" if outcome == "indistinguishable" else f"{outcome} than"
    reasons.append(f"{relation} the linear mel regression: difference {with_interval(found.regression.difference)}")
    if outcome == "worse" and regression is not None and regression.null.observed > regression.null.percentile_99:
        reasons.append("eeg2speech generate --method regression is recommended")
    if found.pretrained_stimuli:
        names = (
            f"{len(found.pretrained_stimuli)} of the {found.stimuli} stimuli ({join_names(found.pretrained_stimuli)})"
        )
        reasons.append(f"the pretrained components were trained on {names}")
    eeg = points.get("eeg")
    return SplitVerdict(
        split, split_title(split, verdict.seen), verdict.words, verdict.outcome, reasons,
        f"{verdict.way}-way identification", f"matching sound identified among {verdict.way}", compared,
        variant_title("eeg"), None if eeg is None else eeg.null,
    )  # fmt: skip
