"""How EEG and sounds lie in their common space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, Array

BINS = 60
OTHERS = "0.75"
"""Colour of stimuli beyond those that have one of their own."""


def cosine_figure(cosines: Mapping[str, Array], title: str) -> Figure:
    """Distributions of the cosine of EEG and sound, each with its median.

    Args:
        cosines: By name, e.g. of pairs and of all others, (n,) each.
        title: Above the figure.
    """
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.add_subplot()
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
    figure.suptitle(title, fontsize=10)
    return figure


def plane_figure(
    eeg: Array, sound: Array, heard: NDArray[np.integer], stimulus: Sequence[str], title: str, lines: int = 12
) -> Figure:
    """Both sides on the two principal components of all embeddings together, coloured by stimulus.

    The stimuli with the most windows have a colour each. Lines lead from some windows to the sound that they heard.

    Args:
        eeg: Embeddings of windows, (n, K).
        sound: Embeddings of different sounds, (G, K).
        heard: Which sound each window heard, (n,).
        stimulus: Of each sound, G names.
        title: Above the figure.
        lines: How many pairs are joined, evenly spread over the windows that have a colour.
    """
    from sklearn.decomposition import PCA  # a second of imports

    figure = Figure(figsize=(8, 5.6), layout="constrained")
    axes = figure.add_subplot()
    both = np.nan_to_num(np.concatenate([eeg, sound]).astype(np.float64))
    if len(both) < 3 or both.shape[1] < 2 or np.ptp(both, axis=0).max() < 1e-9:
        axes.text(0.5, 0.5, "too few different embeddings", ha="center")
        axes.set_axis_off()
        return figure
    pca = PCA(2, svd_solver="covariance_eigh" if both.shape[1] < len(both) else "full")
    points = pca.fit_transform(both)
    windows, sounds = points[: len(eeg)], points[len(eeg) :]
    names = np.array(stimulus)
    owner = names[heard]
    listed, counts = np.unique(owner, return_counts=True)
    coloured = listed[np.argsort(-counts, kind="stable")][: len(PALETTE)]
    colour_of = {str(name): PALETTE[number] for number, name in enumerate(sorted(coloured))}
    candidates = np.flatnonzero(np.isin(owner, coloured))
    for row in candidates[np.unique(np.linspace(0, len(candidates) - 1, min(lines, len(candidates))).astype(int))]:
        ends = np.stack([windows[row], sounds[heard[row]]])
        axes.plot(*ends.T, color=colour_of[str(owner[row])], lw=1.2, alpha=0.9, zorder=2)
    for name, colour in {"other stimuli": OTHERS, **colour_of}.items():
        others = colour == OTHERS
        mine = ~np.isin(names, coloured) if others else names == name
        if not mine.any():
            continue
        of_windows, front, edge = mine[heard], 1 if others else 3, "0.6" if others else "black"
        axes.scatter(
            windows[of_windows, 0],
            windows[of_windows, 1],
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
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    figure.legend(loc="outside right center", fontsize=8, frameon=False, markerscale=1.6)
    figure.suptitle(title, fontsize=10)
    return figure
