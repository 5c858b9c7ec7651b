"""Overview of a dataset: electrodes, power spectra, recordings and their segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, Array, grid_behind, single_axes
from eeg2speech.plotting.topomap import from_above

CONDITIONS = {"listening": PALETTE[0], "overt": PALETTE[1], "imagined": PALETTE[2], "rest": "0.55"}
"""Colour of each condition."""
ALPHA_BAND = (7.0, 13.0)
"""Frequencies of the alpha rhythm, in hertz."""


class Row(NamedTuple):
    """A recording on a timeline.

    Attributes:
        label: Id of the recording.
        seconds: Its duration.
        segments: Onset and duration in seconds, and condition.
    """

    label: str
    seconds: float
    segments: Sequence[tuple[float, float, str]]


def montage_figure(positions: Array, names: Sequence[str], title: str) -> Figure:
    """Electrodes on the head, from above with the nose up and from the left.

    Args:
        positions: Metres in head coordinates, NaN where unknown, (C, 3).
        names: Names of the C electrodes.
        title: Title of the figure.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    above, side = figure.subplots(1, 2, width_ratios=(5, 4))
    known = np.isfinite(positions).all(axis=1)
    size = 7 if known.sum() <= 70 else 5
    plane = from_above(positions[known]) if known.any() else np.zeros((0, 2))
    _head(above)
    above.scatter(*plane.T, s=14, color=PALETTE[0], zorder=3)
    for (x, y), name in zip(plane, np.array(names)[known], strict=True):
        above.annotate(str(name), (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=size, zorder=4)
    rim = 1.08 * max(1.12, float(np.abs(plane).max(initial=0.0)))
    above.set(xlim=(-rim, rim), ylim=(-rim, rim), title="from above")
    above.set_aspect("equal")
    above.set_axis_off()
    places = 100 * positions[known]
    side.scatter(places[:, 1], places[:, 2], s=14, c=places[:, 0], cmap="viridis_r", zorder=3)
    side.plot([0], [0], "x", color=PALETTE[1], zorder=4)
    side.annotate("ears", (0, 0), (6, 0), textcoords="offset points", va="center", color=PALETTE[1], fontsize=8)
    side.set(xlabel="to the front (cm)", ylabel="up (cm)", title="from the left (dark: right side)")
    side.set_aspect("equal", adjustable="datalim")
    side.invert_xaxis()  # the nose points left
    grid_behind(side)
    unknown = int((~known).sum())
    figure.suptitle(title + (f"\n{unknown} without a position" if unknown else ""), fontsize=11)
    return figure


def psd_figure(
    frequencies: Array,
    spectra: Mapping[str, Array],
    fits: Mapping[str, tuple[float, float]],
    title: str,
    line: float | None = None,
    alpha: Mapping[str, float] | None = None,
) -> Figure:
    """Power spectra of subjects, each with its 1/f line.

    Args:
        frequencies: Hertz, ascending, (F,).
        spectra: Power density by subject in square microvolts per hertz, (F,).
        fits: Slope and intercept by subject of log10 power over log10 frequency.
        title: Title of the figure.
        line: Line frequency in hertz, marked where the spectra reach it.
        alpha: Alpha peak by subject in hertz, to be marked; NaN for none.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    shown = frequencies >= 0.5
    hertz = frequencies[shown]
    for number, (subject, power) in enumerate(spectra.items()):
        colour = PALETTE[number % len(PALETTE)]
        style = ("-", "--", ":")[number // len(PALETTE) % 3]
        slope, intercept = fits[subject]
        axes.loglog(hertz, power[shown], style, color=colour, lw=1.4, label=f"{subject}  1/f^{-slope:.1f}")
        axes.loglog(hertz, 10**intercept * hertz**slope, color=colour, lw=0.7, alpha=0.5)
        if alpha is not None and np.isfinite(alpha[subject]):
            height = 1.25 * float(np.interp(alpha[subject], frequencies, power))
            axes.plot(alpha[subject], height, "v", color=colour, mec="white", ms=7, zorder=5)
    axes.axvspan(*ALPHA_BAND, color="0.9", zorder=0)
    axes.text(float(np.sqrt(np.prod(ALPHA_BAND))), 0.99, "alpha", ha="center", va="top", color="0.4",
              transform=axes.get_xaxis_transform())  # fmt: skip
    if line is not None and hertz.size and line <= hertz[-1]:
        axes.axvline(line, color="0.5", lw=0.8, ls=":")
        axes.text(line, 0.99, f"{line:g} Hz ", ha="right", va="top", color="0.4",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set(xlabel="Frequency (Hz)", ylabel="Power density (µV²/Hz)", title=title)
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 30, 40, 50, 100) if hertz.size and tick <= hertz[-1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    if spectra and hertz.size:
        axes.set_xlim(float(hertz[0]), float(hertz[-1]))
        axes.set_ylim(bottom=1e-5 * max(float(power[shown].max()) for power in spectra.values()))  # not the stop band
    axes.grid(color="0.92")
    if spectra:
        axes.legend(fontsize=7, ncols=1 + len(spectra) // 12, frameon=False)
    return figure


def timeline_figure(rows: Sequence[Row], title: str) -> Figure:
    """Recordings as rows with their segments, coloured by condition.

    Args:
        rows: From top to bottom.
        title: Title of the figure.
    """
    figure, axes = single_axes(10, 1.4 + 0.26 * max(len(rows), 2), title, 11)
    longest = max((row.seconds for row in rows), default=0.0)
    unit, name = (3600.0, "hours") if longest > 2 * 3600 else (60.0, "minutes")
    total: dict[str, float] = dict.fromkeys(CONDITIONS, 0.0)
    for height, row in enumerate(rows):
        axes.broken_barh([(0, row.seconds / unit)], (height - 0.32, 0.64), facecolors="0.9")
        for condition, colour in CONDITIONS.items():
            spans = [(onset, duration) for onset, duration, kind in row.segments if kind == condition]
            total[condition] += sum(duration for _, duration in spans)
            bars = [(onset / unit, duration / unit) for onset, duration in spans]
            if bars:  # a white edge would hide short segments
                edge = "white" if len(bars) * longest < 60 * row.seconds else "none"
                axes.broken_barh(bars, (height - 0.32, 0.64), facecolors=colour, edgecolors=edge, linewidth=0.4)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set(xlabel=f"{name} of EEG", xlim=(0, 1.01 * max(longest, 1e-3) / unit))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    patches = [
        Patch(color=colour, label=f"{condition}: {total[condition] / 3600:.2f} h")
        for condition, colour in CONDITIONS.items()
        if total[condition]
    ]
    patches.append(Patch(color="0.9", label=f"EEG: {sum(row.seconds for row in rows) / 3600:.2f} h"))
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=8)
    return figure


def _head(axes: Axes) -> None:
    """Outline of the head with nose and ears; the circle is at the height of the ears."""
    turn: NDArray[np.float64] = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color="0.6", lw=1.5)
    axes.plot([-0.12, 0, 0.12], [0.993, 1.11, 0.993], color="0.6", lw=1.5)
    half = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 50)
    for sign in (-1, 1):
        axes.plot(sign * (1 + 0.07 * np.cos(half)), 0.17 * np.sin(half), color="0.6", lw=1.5)
