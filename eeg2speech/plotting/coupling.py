"""Coupling of EEG and sound: correlations against chance, by lag, and responses on the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eeg2speech.plotting.style import PALETTE, Array, grid_behind, legend_below, single_axes
from eeg2speech.plotting.topomap import from_above

MAPS = 3
"""Number of peaks of a response that are drawn as maps."""


class CouplingRow(NamedTuple):
    """A correlation beside those of false alignments.

    Attributes:
        label: Label of the subject.
        r: Correlation.
        null: Correlations of false alignments, (S,).
        found: Whether it is significant.
    """

    label: str
    r: float
    null: Array
    found: bool


def chance_figure(rows: Sequence[CouplingRow], title: str) -> Figure:
    """Correlation of each subject beside those of false alignments.

    Args:
        rows: From top to bottom.
        title: Title of the figure.
    """
    figure, axes = single_axes(8, 1.6 + 0.26 * len(rows), title, 11)
    for height, one in enumerate(rows):
        low, middle, high = np.quantile(one.null, (0.05, 0.5, 0.95))
        last = float(np.quantile(one.null, 0.99))
        axes.plot([low, high], [height, height], color="0.78", lw=6, solid_capstyle="butt")
        axes.plot([high, last], [height, height], color="0.78", lw=1.5)
        axes.plot(middle, height, "|", color="0.4", ms=8)
        axes.plot(one.r, height, "o", color=PALETTE[0] if one.found else "white", mec=PALETTE[0], ms=6, zorder=3)
    axes.axvline(0, color="0.6", lw=0.8)
    axes.set_yticks(range(len(rows)), [one.label for one in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("r of the envelope and its reconstruction from unseen EEG")
    grid_behind(axes, "x")
    axes.plot([], [], "o", color=PALETTE[0], label="more than chance")
    axes.plot([], [], "o", color="white", mec=PALETTE[0], label="not more than chance")
    axes.plot([], [], color="0.78", lw=6, label="false alignments: 5 to 95 %, line to 99 %")
    legend_below(figure, axes, 3)
    return figure


def coupling_lag_figure(lags: Array, curves: Mapping[str, Array], chance: float, title: str) -> Figure:
    """Correlation of the envelope with its reconstruction by decoders with a single lag.

    Args:
        lags: Seconds of the EEG after the sound, (L,).
        curves: r by name, (L,) each; the first is drawn thick.
        chance: Largest r of false alignments over as many lags, for the first curve.
        title: Title of the figure.
    """
    figure, axes = single_axes(8, 4.2, title, 11)
    for number, (name, curve) in enumerate(reversed(list(curves.items()))):
        main = number == len(curves) - 1
        colour, width = (PALETTE[0], 2.4) if main else ("0.75", 0.9)
        axes.plot(1000 * lags, curve, color=colour, lw=width, label=name if main else None, zorder=2 + main)
        if main:
            peak = int(np.argmax(curve))
            if curve[peak] <= chance:
                continue
            axes.plot(1000 * lags[peak], curve[peak], "o", color=colour, zorder=4)
            axes.annotate(f"{1000 * lags[peak]:.0f} ms", (1000 * lags[peak], curve[peak]), (6, 4),
                          textcoords="offset points", color=colour)  # fmt: skip
    axes.axhline(chance, color=PALETTE[1], ls="--", lw=1, label="highest of 200 false alignments")
    axes.axvspan(0, 300, color="0.95", zorder=0, label="usual for listening")
    axes.axvline(0, color="0.6", lw=0.8)
    axes.set(
        xlabel="EEG after the sound (ms)", ylabel="r of a decoder with one lag", xlim=(1000 * lags[0], 1000 * lags[-1])
    )
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def response_figure(lags: Array, weights: Array, positions: Array, title: str) -> Figure:
    """Response of every electrode to the envelope, and maps at its peaks.

    Args:
        lags: Seconds after the sound, (L,).
        weights: Weights of the forward model, (C, L).
        positions: Metres in head coordinates, NaN where unknown, (C, 3).
        title: Title of the figure.
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    grid = figure.add_gridspec(2, MAPS, height_ratios=(1, 1.15))
    axes = figure.add_subplot(grid[1, :])
    strength = weights.std(axis=0)
    known = np.isfinite(positions).all(axis=1)
    front = np.where(known, np.nan_to_num(positions[:, 1]), 0.0)
    order = np.argsort(np.argsort(front)) / max(len(front) - 1, 1)
    for row, shade in zip(weights, order, strict=True):
        axes.plot(1000 * lags, row, color=colormaps["viridis"](float(shade)), lw=0.8, alpha=0.8)
    axes.plot(1000 * lags, strength, color="black", lw=2, label="standard deviation over electrodes")
    axes.plot([], [], color=colormaps["viridis"](0.05), label="back of the head")
    axes.plot([], [], color=colormaps["viridis"](0.95), label="front")
    axes.axvline(0, color="0.6", lw=0.8)
    axes.axhline(0, color="0.6", lw=0.8)
    axes.set(
        xlabel="after the sound (ms)",
        ylabel="weight (sd of EEG per sd of envelope)",
        xlim=(1000 * lags[0], 1000 * lags[-1]),
    )
    axes.legend(fontsize=8, frameon=False, loc="upper right", ncols=3)
    axes.set_ylim(top=1.3 * max(float(weights.max()), 1e-9))  # room for the legend
    _maps(figure, [figure.add_subplot(grid[0, column]) for column in range(MAPS)], axes, lags, weights, positions)
    figure.suptitle(title, fontsize=11)
    return figure


def _maps(figure: Figure, panels: Sequence[Axes], below: Axes, lags: Array, weights: Array, positions: Array) -> None:
    from mne.viz import plot_topomap  # a second of imports
    from scipy.signal import find_peaks

    for panel in panels:
        panel.set_axis_off()
    places, first = np.unique(positions.round(5), axis=0, return_index=True)  # a map needs different positions
    known = first[np.isfinite(places).all(axis=1)]
    if known.size < 4:
        panels[len(panels) // 2].text(0.5, 0.5, "fewer than four electrodes with a position", ha="center")
        return
    strength = weights.std(axis=0)
    peaks = find_peaks(strength)[0]
    peaks = np.sort(peaks[np.argsort(-strength[peaks], kind="stable")][: len(panels)])
    limit = max(float(np.abs(weights[known][:, peaks]).max(initial=0.0)), 1e-9)
    image = None
    for panel, peak in zip(panels, peaks, strict=False):
        panel.set_axis_on()
        image, _ = plot_topomap(
            weights[known, peak], from_above(positions[known]), axes=panel, show=False, cmap="RdBu_r",
            sphere=(0, 0, 0, 1.0), contours=4, sensors="k.", vlim=(-limit, limit), extrapolate="head",
        )  # fmt: skip
        panel.set_title(f"{1000 * lags[peak]:.0f} ms", fontsize=10)
        below.axvline(1000 * float(lags[peak]), color=PALETTE[1], lw=0.9, ls="--")
    if image is not None:
        figure.colorbar(image, ax=list(panels), shrink=0.75, label="weight")
