"""Whether EEG finds its sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, Array


@dataclass(frozen=True)
class Curve:
    """A figure along something, with what it is to be compared with.

    Attributes:
        x: Where, (n,).
        value: (n,).
        low: Lower bound of its interval, (n,).
        high: Upper bound, (n,).
        chance: Of a model that knows nothing, (n,).
        null_low: Lower bound of where permutations lie, (n,).
        null_high: Upper bound, (n,).
    """

    x: Array
    value: Array
    low: Array
    high: Array
    chance: Array
    null_low: Array
    null_high: Array


def similarity_figure(similarity: Array, stimulus: NDArray[np.integer], title: str) -> Figure:
    """Similarity of EEG windows with the sounds they heard, both in the order of the sounds.

    The right sounds lie on the diagonal; a dot marks the sound that each window finds. Lines part the stimuli.

    Args:
        similarity: Of window and sound, (n, n).
        stimulus: Of each window, (n,); windows of a stimulus stand together.
        title: Above the figure.
    """
    figure = Figure(figsize=(7.2, 6), layout="constrained")
    axes = figure.add_subplot()
    finite = similarity[np.isfinite(similarity)]
    # from the median up: what is unlike stays white, or the diagonal drowns
    low, high = (float(v) for v in np.quantile(finite, (0.5, 0.998))) if finite.size else (0.0, 1.0)
    drawn = axes.imshow(similarity, cmap="Greys", vmin=low, vmax=max(high, low + 1e-3), interpolation="nearest")
    count = len(similarity)
    found = similarity.argmax(1) if count else np.zeros(0, int)
    rows = np.arange(count)
    size = float(np.clip(900 / max(count, 1), 5, 30))
    for hit, colour, label in ((True, PALETTE[2], "right sound found"), (False, PALETTE[1], "another sound found")):
        chosen = (found == rows) == hit
        axes.scatter(found[chosen], rows[chosen], s=size, color=colour, lw=0, label=f"{label}: {chosen.sum()}")
    for border in np.flatnonzero(np.diff(stimulus)) + 0.5:
        axes.axhline(border, color=PALETTE[0], lw=0.4)
        axes.axvline(border, color=PALETTE[0], lw=0.4)
    axes.set(xlabel="sound, by stimulus and time", ylabel="EEG window, by stimulus and time")
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="cosine")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def gallery_figure(curves: Mapping[str, Curve], title: str) -> Figure:
    """Retrieval accuracy against the size of the gallery: the larger, the harder.

    Args:
        curves: By name, e.g. ``top-1``; x is the size of the gallery.
        title: Above the figure.
    """
    figure = Figure(figsize=(3.6 * max(len(curves), 1), 3.8), layout="constrained")
    first = None
    for number, (name, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), number + 1, sharey=first)
        first = first or axes
        _draw(axes, curve)
        ticks = _spread(curve.x)
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set(title=name, xlabel="sounds in the gallery", ylim=(0, 1.02), ylabel="" if number else "accuracy")
    if first is not None:
        figure.legend(
            *first.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
        )
    figure.suptitle(title, fontsize=10)
    return figure


def lag_figure(curve: Curve, title: str) -> Figure:
    """Mean reciprocal rank when the EEG is read later than in training; an aligned model peaks at zero.

    Args:
        curve: x is how much later, in seconds.
        title: Above the figure.
    """
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="0.6", lw=0.8)
    axes.text(0, 1.01, "as trained", ha="center", va="bottom", fontsize=8, color="0.4",
              transform=axes.get_xaxis_transform())  # fmt: skip
    _draw(axes, curve)
    top = max(float(np.nanmax(bound, initial=0.0)) for bound in (curve.value, curve.high, curve.null_high))
    axes.set(xlabel="EEG read later by (s)", ylabel="mean reciprocal rank", ylim=(0, 1.08 * top or 1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw(axes: Axes, curve: Curve) -> None:
    axes.fill_between(
        curve.x, curve.null_low, curve.null_high, color="0.85", lw=0, label="permutations within stimuli, 95 %"
    )
    axes.plot(curve.x, curve.chance, color="0.3", lw=1, ls="--", label="chance")
    axes.fill_between(curve.x, curve.low, curve.high, color=PALETTE[0], alpha=0.2, lw=0, label="95 % over stimuli")
    axes.plot(curve.x, curve.value, color=PALETTE[0], lw=1.6, marker="o", ms=4, label="model")
    axes.grid(color="0.93")
    axes.set_axisbelow(True)


def _spread(sizes: Array) -> list[float]:
    """The sizes that can be written under a logarithmic axis without touching; the largest is one of them."""
    kept: list[float] = []
    for size in sizes[::-1].tolist():
        if not kept or size < 0.6 * kept[-1]:
            kept.append(size)
    return kept[::-1]
