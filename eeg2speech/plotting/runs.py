"""How training went, and how a figure stands to chance; narrow, so that a phone shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE

WIDTH = 4.2
"""Inches."""


@dataclass(frozen=True)
class Mark:
    """A figure with its interval.

    Attributes:
        name: Whose.
        value: The figure.
        low: Lower bound of its interval; NaN without one.
        high: Upper bound.
        own: It is the model's, not one of what it is compared with.
    """

    name: str
    value: float
    low: float
    high: float
    own: bool = False


def training_figure(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], title: str, label: str) -> Figure:
    """Figures along training.

    Args:
        curves: Steps and values by name.
        title: Above the figure.
        label: Of the upright axis.
    """
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (steps, values)) in enumerate(curves.items()):
        marker = "o" if len(steps) < 20 else ""
        axes.plot(steps, values, color=PALETTE[number % len(PALETTE)], lw=1.4, marker=marker, ms=3.5, label=name)
    axes.set(xlabel="step", ylabel=label)
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    if len(curves) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
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
    """Figures below each other with their intervals, over the band in which chance lies.

    Args:
        marks: From top to bottom.
        band: 95 % of the permutations.
        threshold: Their 99th percentile.
        chance: Of a model that knows nothing.
        title: Above the figure.
        label: Of the figures.
        chance_name: What a model that knows nothing does.
    """
    figure = Figure(figsize=(WIDTH, 1.5 + 0.27 * len(marks)), layout="constrained")
    axes = figure.add_subplot()
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
    axes.grid(axis="x", color="0.93")
    axes.set_axisbelow(True)
    if band is not None or threshold is not None or chance is not None:
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_spectrogram(mel: NDArray[np.floating], loudest: float) -> Figure:
    """A log mel spectrogram and nothing beside it.

    Args:
        mel: Natural logarithms of band magnitudes, (L, F).
        loudest: The value drawn brightest; 8 below it is black, so that pictures can be compared.
    """
    figure = Figure(figsize=(3.2, 1.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        mel.T, origin="lower", aspect="auto", cmap="magma", vmin=loudest - 8, vmax=loudest, interpolation="nearest"
    )
    axes.set_axis_off()
    return figure
