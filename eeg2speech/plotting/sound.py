from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.plotting.style import Array


def spectrogram_figure(true: Array, painted: Array, hidden: NDArray[np.bool_], seconds: float, title: str) -> Figure:
    """A spectrogram, what a model saw of it, and what it made of it.

    Args:
        true: Scaled log mel energies, (F, L).
        painted: The same with hidden patches replaced by predictions, (F, L).
        hidden: Where patches were hidden, (F, L).
        seconds: Length of the window.
        title: Above the figure.
    """
    figure = Figure(figsize=(11, 3.5), layout="constrained")
    low, high = (float(value) for value in np.quantile(true, (0.01, 0.99)))
    masked = np.ma.masked_array(true, hidden)
    for column, (image, label) in enumerate(((true, "sound"), (masked, "visible"), (painted, "reconstruction"))):
        axes = figure.add_subplot(1, 3, column + 1)
        axes.set_facecolor("0.9")
        drawn = axes.imshow(
            image, aspect="auto", origin="lower", cmap="magma", vmin=low, vmax=high, interpolation="nearest",
            extent=(0, seconds, -0.5, len(true) - 0.5),
        )  # fmt: skip
        axes.set(title=label, xlabel="s", ylabel="mel band" if column == 0 else "")
    figure.colorbar(drawn, ax=figure.axes, label="scaled log energy", shrink=0.8)
    figure.suptitle(title, fontsize=10)
    return figure
