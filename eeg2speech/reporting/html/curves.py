"""Learning curves: what stands for the same thing is drawn in one picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from eeg2speech.plotting import training_figure
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.views import Picture, RunView, Section, number
from eeg2speech.reporting.tensorboard.events import Scalar

MOST = 2000
"""Points of a curve; more are not seen."""
FIRST = ("loss", "nmse", "mrr", "top10", "mel_corr", "loa_error", "diffusion_loss")
"""What is shown without asking, in this order."""
NAMES = {
    "nmse": "NMSE", "mrr": "mean reciprocal rank", "top1": "top-1", "top5": "top-5", "top10": "top-10",
    "lr": "learning rate", "grad_norm": "gradient norm", "samples_per_s": "windows per second",
    "mel_corr": "mel correlation", "loa_error": "LOA error", "median_rank": "median rank",
    "modality_gap": "modality gap", "scale": "scale of the similarity",
}  # fmt: skip


def curve_sections(view: RunView, scalars: Mapping[str, Scalar], budget: Budget) -> list[Section]:
    """Pictures of what matters, and folded, those of all else."""
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
    """Curves by what they measure, and in it by whose they are."""
    groups: dict[str, dict[str, Scalar]] = defaultdict(dict)
    for tag, scalar in scalars.items():
        part, _, rest = tag.partition("/")
        if part == "test" or not rest:  # one figure is no curve; the epoch says nothing that steps do not
            continue
        if part == "lr":
            groups["lr"][f"group {rest.removeprefix('pg')}"] = scalar
        elif rest.startswith("baselines/"):
            groups["nmse"][rest.partition("/")[2]] = scalar
        else:
            measure, _, whose = rest.partition("/")
            name = {"train": "training", "val": "validation"}.get(part, part)
            groups[measure][f"{name}, {whose}" if whose else name] = scalar
    return groups


def _draw(view: RunView, measure: str, curves: Mapping[str, Scalar], budget: Budget) -> Picture | None:
    label = NAMES.get(measure, measure.replace("_", " "))
    if measure == "nmse":  # splines are so far off that nothing else could be told apart
        curves = {name: curve for name, curve in curves.items() if min(curve.values) < 2} or curves
    told = "; ".join(_words(name, curve) for name, curve in curves.items())
    thinned = {name: _thinned(curve) for name, curve in curves.items()}
    figure = training_figure(thinned, view.caption(label), label)
    return embed_figure(figure, f"{label} along training. {told}.", view.caption(f"{label} along training"), budget)


def _thinned(curve: Scalar) -> tuple[list[int], list[float]]:
    stride = -(-len(curve.steps) // MOST)
    return curve.steps[::stride], curve.values[::stride]


def _words(name: str, curve: Scalar) -> str:
    first, last = curve.values[0], curve.values[-1]
    lowest = curve.steps[int(np.argmin(curve.values))]
    highest = curve.steps[int(np.argmax(curve.values))]
    return (
        f"{name}: from {number(first)} at step {curve.steps[0]} to {number(last)} at step {curve.steps[-1]}, "
        f"lowest at step {lowest}, highest at step {highest}"
    )
