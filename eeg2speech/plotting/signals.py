from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE

ALPHA_BAND = (7.0, 13.0)
"""Hertz in which the alpha rhythm peaks."""


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
