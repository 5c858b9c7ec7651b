"""Retrieval of sounds from EEG, and the space of their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, Array, grid_behind, legend_below, single_axes

BINS = 60
OTHERS = "0.75"
"""Colour of the stimuli beyond those with a colour of their own."""


@dataclass(frozen=True)
class Curve:
    """A score along an axis with its interval, chance and permutations.

    Attributes:
        x: Places on the axis, (n,).
        value: Score, (n,).
        low: Lower bound of its interval, (n,).
        high: Upper bound, (n,).
        chance: Score of a constant model, (n,).
        null_low: Lower bound of the permutations, (n,).
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
    """Similarity of EEG windows with their sounds, both in the order of the sounds.

    Correct sounds are on the diagonal; a dot marks the sound that each window retrieves. Lines separate the stimuli.

    Args:
        similarity: Of window and sound, (n, n).
        stimulus: Stimulus of each window, (n,); the windows of a stimulus are adjacent.
        title: Title of the figure.
    """
    figure, axes = single_axes(7.2, 6, title)
    finite = similarity[np.isfinite(similarity)]
    # colours start at the median, for contrast around the diagonal
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
    legend_below(figure, axes, 2)
    return figure


def gallery_figure(curves: Mapping[str, Curve], title: str) -> Figure:
    """Retrieval accuracy against the size of the gallery.

    Args:
        curves: By name, e.g. ``top-1``; x is the size of the gallery.
        title: Title of the figure.
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
        legend_below(figure, first, 4)
    figure.suptitle(title, fontsize=10)
    return figure


def lag_figure(curve: Curve, title: str) -> Figure:
    """Mean reciprocal rank for EEG that is delayed against training; an aligned model peaks at zero.

    Args:
        curve: x is the delay in seconds.
        title: Title of the figure.
    """
    figure, axes = single_axes(6.5, 4.2, title)
    axes.axvline(0, color="0.6", lw=0.8)
    axes.text(0, 1.01, "as trained", ha="center", va="bottom", fontsize=8, color="0.4",
              transform=axes.get_xaxis_transform())  # fmt: skip
    _draw(axes, curve)
    top = max(float(np.nanmax(bound, initial=0.0)) for bound in (curve.value, curve.high, curve.null_high))
    axes.set(xlabel="EEG read later by (s)", ylabel="mean reciprocal rank", ylim=(0, 1.08 * top or 1))
    legend_below(figure, axes, 4)
    return figure


def cosine_figure(cosines: Mapping[str, Array], title: str) -> Figure:
    """Distributions of the cosine of EEG and sound, each with its median.

    Args:
        cosines: By name, e.g. of matching and of other pairs, (n,) each.
        title: Title of the figure.
    """
    figure, axes = single_axes(6.5, 4, title)
    clean = {name: values[np.isfinite(values)] for name, values in cosines.items()}
    known = [values for values in clean.values() if values.size]
    low, high = (min(v.min() for v in known), max(v.max() for v in known)) if known else (-1.0, 1.0)
    edges = np.linspace(low - 1e-3, high + 1e-3, BINS + 1)
    for number, (name, values) in enumerate(clean.items()):
        if not values.size:
            continue
        colour = PALETTE[number % len(PALETTE)]
        density = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
        middle = float(np.median(values))
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(density, edges, color=colour, lw=1.4, label=f"{name}: median {middle:.2f}")
        axes.axvline(middle, color=colour, lw=1, ls="--")
    axes.set(xlabel="cosine of EEG and sound", ylabel="density", ylim=(0, None))
    if known:
        axes.legend(fontsize=8, frameon=False)
    return figure


def plane_figure(
    eeg: Array, sound: Array, target: NDArray[np.integer], stimulus: Sequence[str], title: str, lines: int = 12
) -> Figure:
    """EEG and sounds on the first two principal components of all embeddings, coloured by stimulus.

    The stimuli with the most windows have a colour each. Lines connect some windows with their sound.

    Args:
        eeg: Embeddings of windows, (n, K).
        sound: Embeddings of different sounds, (G, K).
        target: Index of each window's sound, (n,).
        stimulus: Stimulus of each sound, G names.
        title: Title of the figure.
        lines: Number of lines, evenly spread over the windows with a colour.
    """
    from sklearn.decomposition import PCA  # a second of imports

    figure, axes = single_axes(8, 5.6, title)
    both = np.nan_to_num(np.concatenate([eeg, sound]).astype(np.float64))
    if len(both) < 3 or both.shape[1] < 2 or np.ptp(both, axis=0).max() < 1e-9:
        axes.text(0.5, 0.5, "too few different embeddings", ha="center")
        axes.set_axis_off()
        return figure
    pca = PCA(2, svd_solver="covariance_eigh" if both.shape[1] < len(both) else "full")
    points = pca.fit_transform(both)
    windows, sounds = points[: len(eeg)], points[len(eeg) :]
    names = np.array(stimulus)
    owner = names[target]
    stimuli, counts = np.unique(owner, return_counts=True)
    coloured = stimuli[np.argsort(-counts, kind="stable")][: len(PALETTE)]
    colour_of = {str(name): PALETTE[number] for number, name in enumerate(sorted(coloured))}
    candidates = np.flatnonzero(np.isin(owner, coloured))
    for row in candidates[np.unique(np.linspace(0, len(candidates) - 1, min(lines, len(candidates))).astype(int))]:
        ends = np.stack([windows[row], sounds[target[row]]])
        axes.plot(*ends.T, color=colour_of[str(owner[row])], lw=1.2, alpha=0.9, zorder=2)
    for name, colour in {"other stimuli": OTHERS, **colour_of}.items():
        others = colour == OTHERS
        mine = ~np.isin(names, coloured) if others else names == name
        if not mine.any():
            continue
        front, edge = 1 if others else 3, "0.6" if others else "black"
        axes.scatter(
            windows[mine[target], 0],
            windows[mine[target], 1],
            s=10,
            color=colour,
            lw=0,
            alpha=0.6,
            zorder=front,
            label=name,
        )
        axes.scatter(
            sounds[mine, 0], sounds[mine, 1], s=34, color=colour, marker="^", ec=edge, lw=0.5, zorder=front + 1
        )
    axes.scatter([], [], s=10, color="0.3", label="EEG window")
    axes.scatter([], [], s=34, color="white", marker="^", ec="black", lw=0.7, label="sound")
    shares = 100 * pca.explained_variance_ratio_
    axes.set(xlabel=f"component 1 ({shares[0]:.1f} % of the variance)", ylabel=f"component 2 ({shares[1]:.1f} %)")
    grid_behind(axes)
    figure.legend(loc="outside right center", fontsize=8, frameon=False, markerscale=1.6)
    return figure


def _draw(axes: Axes, curve: Curve) -> None:
    axes.fill_between(
        curve.x, curve.null_low, curve.null_high, color="0.85", lw=0, label="permutations within stimuli, 95 %"
    )
    axes.plot(curve.x, curve.chance, color="0.3", lw=1, ls="--", label="chance")
    axes.fill_between(curve.x, curve.low, curve.high, color=PALETTE[0], alpha=0.2, lw=0, label="95 % over stimuli")
    axes.plot(curve.x, curve.value, color=PALETTE[0], lw=1.6, marker="o", ms=4, label="model")
    grid_behind(axes)


def _spread(sizes: Array) -> list[float]:
    """Sizes whose labels do not touch on a logarithmic axis, including the largest."""
    kept: list[float] = []
    for size in sizes[::-1].tolist():
        if not kept or size < 0.6 * kept[-1]:
            kept.append(size)
    return kept[::-1]
