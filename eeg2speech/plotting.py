"""Figures. Drawn on `Figure` itself, as pyplot keeps every figure and needs a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Eight colours told apart with any colour vision. Reference: Okabe and Ito 2008."""
ALPHA_BAND = (7.0, 13.0)
"""Hertz in which the alpha rhythm peaks."""
Array = NDArray[np.floating[Any]]


def psd_figure(
    frequencies: NDArray[np.floating],
    spectra: Mapping[str, NDArray[np.floating]],
    fits: Mapping[str, tuple[float, float]],
    title: str,
    line: float | None = None,
) -> Figure:
    """Power spectra of subjects, each with its 1/f line.

    Args:
        frequencies: Hertz, ascending, (F,).
        spectra: Power density by subject in square microvolts per hertz, (F,).
        fits: Slope and intercept by subject of log10 power over log10 frequency.
        title: Stands above.
        line: Line frequency in hertz, marked where the spectra reach it.
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


def reconstruction_figure(
    true: Array, painted: Array, hidden: NDArray[np.bool_], names: Sequence[str], rate: float, title: str
) -> Figure:
    """A window of EEG, what the model saw of it, and what it made of it.

    Args:
        true: Scaled EEG, (C, T).
        painted: The same with hidden patches replaced by predictions, (C, T).
        hidden: Where patches were hidden, (C, T).
        names: Of the C channels.
        rate: Samples per second.
        title: Above the figure.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1.1))
    limit = float(np.quantile(np.abs(true), 0.98)) or 1.0
    seconds = true.shape[1] / rate
    masked = np.ma.masked_array(true, hidden)
    for column, (image, label) in enumerate(((true, "EEG"), (masked, "visible"), (painted, "reconstruction"))):
        axes = figure.add_subplot(grid[0, column])
        axes.set_facecolor("0.9")
        drawn = axes.imshow(
            image, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest",
            extent=(0, seconds, len(true) - 0.5, -0.5),
        )  # fmt: skip
        axes.set(title=label, xlabel="s", yticks=range(len(names)))
        axes.set_yticklabels(names if column == 0 else [], fontsize=max(4, 9 - len(names) // 8))
    figure.colorbar(drawn, ax=figure.axes, label="robust standard deviations", shrink=0.8)
    axes = figure.add_subplot(grid[1, :])
    shown = np.unique(np.linspace(0, len(true) - 1, min(6, len(true))).astype(int))
    time = np.arange(true.shape[1]) / rate
    for row, channel in enumerate(shown):
        offset = -row * 2.5 * limit
        axes.plot(time, true[channel] + offset, color="0.2", lw=0.9, label="EEG" if not row else None)
        gone = np.where(hidden[channel], painted[channel], np.nan)
        axes.plot(time, gone + offset, color=PALETTE[1], lw=1.4, label="predicted where hidden" if not row else None)
    axes.set_yticks([-row * 2.5 * limit for row in range(len(shown))], [names[c] for c in shown])
    axes.set(xlabel="s", xlim=(0, seconds))
    axes.legend(loc="upper right", ncols=2, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def error_topomap(error: Array, positions: Array, names: Sequence[str], title: str) -> Figure:
    """Normalised error of each electrode on the head, seen from above with the nose up.

    Args:
        error: NMSE per channel, (C,); 1 is predicting the mean. NaN where nothing was hidden leaves a channel out.
        positions: Metres in head coordinates, (C, 3); zero where unknown, which leaves a channel out.
        names: Of the C channels.
        title: Above the figure.
    """
    from mne.viz import plot_topomap  # a second of imports

    figure = Figure(figsize=(5.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    known = (np.abs(positions).sum(1) > 0) & np.isfinite(error)
    if known.sum() < 4:
        axes.text(0.5, 0.5, "fewer than four electrodes with a position", ha="center")
        axes.set_axis_off()
        return figure
    plane = _from_above(positions[known])
    image, _ = plot_topomap(
        error[known], plane, axes=axes, show=False, cmap="viridis", sphere=(0, 0, 0, 1.0), contours=0, sensors=False,
        vlim=(0, max(1.0, float(error[known].max()))), extrapolate="head",
    )  # fmt: skip
    for (x, y), name in zip(plane, np.array(names)[known], strict=True):
        axes.text(x, y, name, ha="center", va="center", fontsize=7, color="white")
    figure.colorbar(image, ax=axes, shrink=0.7, label="NMSE")
    figure.suptitle(title, fontsize=9)
    return figure


def _from_above(positions: Array) -> Array:
    """Azimuthal equidistant projection onto the unit disc whose rim is the ear line, (C, 2)."""
    centred = positions - np.array([0.0, 0.0, 0.04])
    length = np.linalg.norm(centred, axis=1)
    angle = np.arccos(np.clip(centred[:, 2] / length, -1, 1)) / (np.pi / 2)
    flat = centred[:, :2] / np.maximum(np.linalg.norm(centred[:, :2], axis=1, keepdims=True), 1e-9)
    projected: Array = flat * angle[:, None]
    return projected
