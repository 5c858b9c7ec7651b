"""Masked reconstruction: the target, its visible part, and the model's prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, Array


def reconstruction_figure(
    target: Array, predicted: Array, hidden: NDArray[np.bool_], names: Sequence[str], rate: float, title: str
) -> Figure:
    """A window of EEG, its visible part, and its reconstruction.

    Args:
        target: Scaled EEG, (C, T).
        predicted: The same with hidden patches replaced by predictions, (C, T).
        hidden: True where patches were hidden, (C, T).
        names: Names of the C channels.
        rate: Samples per second.
        title: Title of the figure.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1.1))
    limit = float(np.quantile(np.abs(target), 0.98)) or 1.0
    seconds = target.shape[1] / rate
    look = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "extent": (0, seconds, len(target) - 0.5, -0.5)}
    _images(figure, grid[0, :].subgridspec(1, 3), "EEG", target, predicted, hidden, look, "robust standard deviations")
    for column, axes in enumerate(figure.axes[:3]):
        axes.set_yticks(range(len(names)))
        axes.set_yticklabels(names if column == 0 else [], fontsize=max(4, 9 - len(names) // 8))
    axes = figure.add_subplot(grid[1, :])
    shown = np.unique(np.linspace(0, len(target) - 1, min(6, len(target))).astype(int))
    time = np.arange(target.shape[1]) / rate
    for row, channel in enumerate(shown):
        offset = -row * 2.5 * limit
        axes.plot(time, target[channel] + offset, color="0.2", lw=0.9, label="EEG" if not row else None)
        filled = np.where(hidden[channel], predicted[channel], np.nan)
        axes.plot(time, filled + offset, color=PALETTE[1], lw=1.4, label="predicted where hidden" if not row else None)
    axes.set_yticks([-row * 2.5 * limit for row in range(len(shown))], [names[c] for c in shown])
    axes.set(xlabel="s", xlim=(0, seconds))
    axes.legend(loc="upper right", ncols=2, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def spectrogram_figure(
    target: Array, predicted: Array, hidden: NDArray[np.bool_], seconds: float, title: str
) -> Figure:
    """A spectrogram, its visible part, and its reconstruction.

    Args:
        target: Scaled log mel energies, (F, L).
        predicted: The same with hidden patches replaced by predictions, (F, L).
        hidden: True where patches were hidden, (F, L).
        seconds: Duration of the window.
        title: Title of the figure.
    """
    figure = Figure(figsize=(11, 3.5), layout="constrained")
    low, high = (float(value) for value in np.quantile(target, (0.01, 0.99)))
    extent = (0, seconds, -0.5, len(target) - 0.5)
    look = {"cmap": "magma", "vmin": low, "vmax": high, "extent": extent, "origin": "lower"}
    _images(figure, figure.add_gridspec(1, 3), "sound", target, predicted, hidden, look, "scaled log energy")
    figure.axes[0].set_ylabel("mel band")
    figure.suptitle(title, fontsize=10)
    return figure


def _images(
    figure: Figure, grid: Any, name: str, target: Array, predicted: Array, hidden: NDArray[np.bool_],
    look: dict[str, Any], unit: str,
) -> None:  # fmt: skip
    """Three images with one colour scale: the target, its visible part and its reconstruction."""
    panels = {name: target, "visible": np.ma.masked_array(target, hidden), "reconstruction": predicted}
    for column, (label, image) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.set_facecolor("0.9")
        drawn = axes.imshow(image, aspect="auto", interpolation="nearest", **look)
        axes.set(title=label, xlabel="s")
    figure.colorbar(drawn, ax=figure.axes, label=unit, shrink=0.8)
