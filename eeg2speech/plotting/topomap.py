"""Values of electrodes on the head, seen from above with the nose up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from eeg2speech.plotting.style import Array


def error_topomap(error: Array, positions: Array, names: Sequence[str], title: str) -> Figure:
    """Normalised error of each electrode.

    Args:
        error: NMSE per channel, (C,); 1 is predicting the mean. NaN where nothing was hidden leaves a channel out.
        positions: Metres in head coordinates, (C, 3); zero where unknown, which leaves a channel out.
        names: Of the C channels.
        title: Above the figure.
    """
    top = max(1.0, float(np.nanmax(error, initial=0.0)))
    return _topomap(error, positions, names, title, "NMSE", "viridis", (0, top), "white")


def importance_topomap(drop: Array, sure: Array, positions: Array, names: Sequence[str], title: str) -> Figure:
    """What retrieval loses without the electrodes around each place; names in brackets where that may be noise.

    Args:
        drop: Mean reciprocal rank with all electrodes minus that without those around each, (C,).
        sure: Lower bound of the drop's interval, (C,); above 0 the electrodes matter.
        positions: Metres in head coordinates, (C, 3); zero where unknown, which leaves a channel out.
        names: Of the C channels.
        title: Above the figure.
    """
    limit = max(float(np.nanmax(np.abs(drop), initial=0.0)), 1e-3)
    shown = [name if low > 0 else f"({name})" for name, low in zip(names, sure, strict=True)]
    label = "drop in MRR when silent"
    return _topomap(drop, positions, shown, title, label, "RdBu_r", (-limit, limit), "black")


def _topomap(
    values: Array, positions: Array, names: Sequence[str], title: str, label: str, cmap: str,
    limits: tuple[float, float], ink: str,
) -> Figure:  # fmt: skip
    from mne.viz import plot_topomap  # a second of imports

    figure = Figure(figsize=(5.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    known = (np.abs(positions).sum(1) > 0) & np.isfinite(values)
    if known.sum() < 4:
        axes.text(0.5, 0.5, "fewer than four electrodes with a position", ha="center")
        axes.set_axis_off()
        return figure
    plane = from_above(positions[known])
    image, _ = plot_topomap(
        values[known], plane, axes=axes, show=False, cmap=cmap, sphere=(0, 0, 0, 1.0), contours=0, sensors=False,
        vlim=limits, extrapolate="head",
    )  # fmt: skip
    for (x, y), name in zip(plane, np.array(names)[known], strict=True):
        axes.text(x, y, name, ha="center", va="center", fontsize=7, color=ink)
    rim = 1.06 * max(1.3, float(np.abs(plane).max()))  # names on the rim are wider than the map
    axes.set(xlim=(-rim, rim), ylim=(-rim, rim))
    figure.colorbar(image, ax=axes, shrink=0.7, label=label)
    figure.suptitle(title, fontsize=9)
    return figure


def from_above(positions: Array) -> Array:
    """Azimuthal equidistant projection onto the unit disc whose rim is the ear line, (C, 2)."""
    centred = positions - np.array([0.0, 0.0, 0.04])
    length = np.linalg.norm(centred, axis=1)
    angle = np.arccos(np.clip(centred[:, 2] / length, -1, 1)) / (np.pi / 2)
    flat = centred[:, :2] / np.maximum(np.linalg.norm(centred[:, :2], axis=1, keepdims=True), 1e-9)
    projected: Array = flat * angle[:, None]
    return projected
