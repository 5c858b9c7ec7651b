"""Training curves and scores beside chance, narrow enough for the screen of a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, grid_behind, legend_below, single_axes

WIDTH = 4.2
"""Width of the figures, in inches."""


@dataclass(frozen=True)
class Mark:
    """A score with its interval.

    Attributes:
        name: Name of the model or control.
        value: Score.
        low: Lower bound of its interval; NaN without an interval.
        high: Upper bound.
        own: Whether it is the score of the model, not of a control.
    """

    name: str
    value: float
    low: float
    high: float
    own: bool = False


def training_figure(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], title: str, label: str) -> Figure:
    """Scores over the steps of training.

    Args:
        curves: Steps and values by name.
        title: Title of the figure.
        label: Label of the vertical axis.
    """
    figure, axes = single_axes(WIDTH, 3.1, title)
    for number, (name, (steps, values)) in enumerate(curves.items()):
        marker = "o" if len(steps) < 20 else ""
        axes.plot(steps, values, color=PALETTE[number % len(PALETTE)], lw=1.4, marker=marker, ms=3.5, label=name)
    axes.set(xlabel="step", ylabel=label)
    grid_behind(axes)
    if len(curves) > 1:
        legend_below(figure, axes, 3)
    return figure


def compared_figure(
    marks: Sequence[Mark],
    band: tuple[float, float] | None,
    threshold: float | None,
    chance: float | None,
    title: str,
    label: str,
    chance_name: str = "chance",
) -> Figure:
    """Scores with their intervals, over the band of the permutations.

    Args:
        marks: From top to bottom.
        band: Central 95 % of the permutations.
        threshold: Their 99th percentile.
        chance: Chance level.
        title: Title of the figure.
        label: Name of the score.
        chance_name: Name of the chance level.
    """
    figure, axes = single_axes(WIDTH, 1.5 + 0.27 * len(marks), title)
    if band is not None:
        axes.axvspan(*band, color="0.87", lw=0, label="permutations, 95 %")
    if threshold is not None:
        axes.axvline(threshold, color="0.45", lw=1, ls=":", label="their 99th percentile")
    if chance is not None:
        axes.axvline(chance, color="0.3", lw=1, ls="--", label=chance_name)
    values: NDArray[np.float64] = np.array([[m.value, m.low, m.high] for m in marks])
    for place, (mark, (value, low, high)) in enumerate(zip(marks, values, strict=True)):
        colour = PALETTE[0] if mark.own else PALETTE[1]
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [place, place], color=colour, lw=1.6, solid_capstyle="butt")
        axes.plot(value, place, "o", color=colour, ms=6 if mark.own else 4.5)
    axes.set_yticks(range(len(marks)), [mark.name for mark in marks], fontsize=8)
    axes.set_ylim(len(marks) - 0.4, -0.6)
    axes.set_xlabel(f"{label}, 95 % over stimuli", fontsize=8.5, loc="right")  # it may be wider than the axes
    grid_behind(axes, "x")
    if band is not None or threshold is not None or chance is not None:
        legend_below(figure, axes, 3, 7.5)
    return figure
