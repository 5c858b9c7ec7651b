"""Maps of values at electrodes, from above with the nose up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from eeg2speech.plotting.style import Array, single_axes


def error_topomap(error: Array, positions: Array, names: Sequence[str], title: str) -> Figure:
    """Normalised error of each electrode.

    Args:
        error: NMSE per channel, (C,); predicting the mean scores 1. Channels with NaN are left out.
        positions: Metres in head coordinates, (C, 3); channels with zeros (unknown) are left out.
        names: Names of the C channels.
        title: Title of the figure.
    """
    top = max(1.0, float(np.nanmax(error, initial=0.0)))
    return _topomap(error, positions, names, title, "NMSE", "viridis", (0, top), "white")


def importance_topomap(drop: Array, low: Array, positions: Array, names: Sequence[str], title: str) -> Figure:
    """Electrode importance: the loss in retrieval when the electrodes around a position are set to zero.

    Names are in brackets where the loss is not significant.

    Args:
        drop: Mean reciprocal rank with all electrodes minus that without those around each, (C,).
        low: Lower bound of the drop's interval, (C,); above 0 it is significant.
        positions: Metres in head coordinates, (C, 3); channels with zeros (unknown) are left out.
        names: Names of the C channels.
        title: Title of the figure.
    """
    limit = max(float(np.nanmax(np.abs(drop), initial=0.0)), 1e-3)
    shown = [name if bound > 0 else f"({name})" for name, bound in zip(names, low, strict=True)]
    return _topomap(drop, positions, shown, title, "drop in MRR when zero", "RdBu_r", (-limit, limit), "black")


def _topomap(
    values: Array, positions: Array, names: Sequence[str], title: str, label: str, cmap: str,
    limits: tuple[float, float], ink: str,
) -> Figure:  # fmt: skip
    from mne.viz import plot_topomap  # a second of imports

    figure, axes = single_axes(5.5, 4.8, title, 9)
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
    outline = withStroke(linewidth=1.5, foreground="white" if ink == "black" else "black")  # on any colour below
    for (x, y), name in zip(plane, np.array(names)[known], strict=True):
        axes.text(x, y, name, ha="center", va="center", fontsize=7, color=ink, path_effects=[outline])
    rim = 1.06 * max(1.3, float(np.abs(plane).max()))  # room for names on the rim
    axes.set(xlim=(-rim, rim), ylim=(-rim, rim))
    figure.colorbar(image, ax=axes, shrink=0.7, label=label)
    return figure


def from_above(positions: Array) -> Array:
    """Azimuthal equidistant projection on the plane, (C, 2); the unit circle is at the height of the ears."""
    centred = positions - np.array([0.0, 0.0, 0.04])
    length = np.linalg.norm(centred, axis=1)
    angle = np.arccos(np.clip(centred[:, 2] / length, -1, 1)) / (np.pi / 2)
    flat = centred[:, :2] / np.maximum(np.linalg.norm(centred[:, :2], axis=1, keepdims=True), 1e-9)
    projected: Array = flat * angle[:, None]
    return projected
