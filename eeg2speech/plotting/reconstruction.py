from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import PALETTE, Array


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
