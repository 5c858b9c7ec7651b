"""Learning curves: one picture for each quantity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from eeg2speech.plotting import training_figure
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.views import Picture, RunView, Section, number
from eeg2speech.reporting.tensorboard.events import Scalar

MAX_POINTS = 2000
"""Points of a curve that are drawn."""
FIRST = ("loss", "nmse", "mrr", "top10", "mel_corr", "loa_error", "diffusion_loss")
"""Quantities that are shown unfolded, in this order."""
NAMES = {
    "nmse": "NMSE", "mrr": "mean reciprocal rank", "top1": "top-1", "top5": "top-5", "top10": "top-10",
    "lr": "learning rate", "grad_norm": "gradient norm", "samples_per_s": "windows per second",
    "mel_corr": "mel correlation", "loa_error": "LOA error", "median_rank": "median rank",
    "modality_gap": "modality gap", "logit_scale": "scale of the similarity",
}  # fmt: skip


def curve_sections(view: RunView, scalars: Mapping[str, Scalar], budget: Budget) -> list[Section]:
    """Sections of the main curves and, folded, of all others."""
    groups = _grouped(scalars)
    first = [name for name in FIRST if name in groups]
    others = [name for name in sorted(groups) if name not in FIRST]
    sections = []
    for title, names, folded in (("Learning curves", first, False), ("More curves", others, True)):
        drawn = [_draw(view, name, groups[name], budget) for name in names]
        pictures = [picture for picture in drawn if picture is not None]
        if pictures:
            sections.append(Section(title, pictures=pictures, folded=folded))
    return sections


def _grouped(scalars: Mapping[str, Scalar]) -> dict[str, dict[str, Scalar]]:
    """Curves by quantity, then by name in the legend."""
    groups: dict[str, dict[str, Scalar]] = defaultdict(dict)
    for tag, scalar in scalars.items():
        phase, _, rest = tag.partition("/")
        if phase == "test" or not rest:  # a test is a single point, and "epoch" repeats the steps
            continue
        if phase == "lr":
            groups["lr"][f"group {rest.removeprefix('pg')}"] = scalar
        elif rest.startswith("baselines/"):
            groups["nmse"][rest.partition("/")[2]] = scalar
        else:
            measure, _, variant = rest.partition("/")
            name = {"train": "training", "val": "validation"}.get(phase, phase)
            groups[measure][f"{name}, {variant}" if variant else name] = scalar
    return groups


def _draw(view: RunView, measure: str, curves: Mapping[str, Scalar], budget: Budget) -> Picture | None:
    label = NAMES.get(measure, measure.replace("_", " "))
    if measure == "nmse":  # the error of splines is so large that other curves could not be distinguished
        curves = {name: curve for name, curve in curves.items() if min(curve.values) < 2} or curves
    described = "; ".join(_words(name, curve) for name, curve in curves.items())
    thinned = {name: _thinned(curve) for name, curve in curves.items()}
    figure = training_figure(thinned, view.caption(label), label)
    alt = f"{label} during training. {described}."
    return embed_figure(figure, alt, view.caption(f"{label} during training"), budget)


def _thinned(curve: Scalar) -> tuple[list[int], list[float]]:
    stride = -(-len(curve.steps) // MAX_POINTS)
    return curve.steps[::stride], curve.values[::stride]


def _words(name: str, curve: Scalar) -> str:
    first, last = curve.values[0], curve.values[-1]
    lowest = curve.steps[int(np.argmin(curve.values))]
    highest = curve.steps[int(np.argmax(curve.values))]
    return (
        f"{name}: from {number(first)} at step {curve.steps[0]} to {number(last)} at step {curve.steps[-1]}, "
        f"lowest at step {lowest}, highest at step {highest}"
    )
