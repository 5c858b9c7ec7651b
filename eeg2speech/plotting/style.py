"""Colours and layout that figures share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from eeg2speech.core.files import written_beside

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Eight colours that can be distinguished with any colour vision. Reference: Okabe and Ito 2008."""
Array = NDArray[np.floating[Any]]


def single_axes(width: float, height: float, title: str, fontsize: float = 10) -> tuple[Figure, Axes]:
    """A figure of this size in inches with a title and one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=fontsize)
    return figure, figure.add_subplot()


def legend_below(figure: Figure, axes: Axes, columns: int, fontsize: float = 8) -> None:
    """Draw the legend of the axes below them."""
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, fontsize=fontsize, frameon=False)


def grid_behind(axes: Axes, axis: str = "both") -> None:
    """Draw a pale grid behind the data."""
    axes.grid(axis=axis, color="0.93")  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def write_png(figure: Figure, file: Path, dots_per_inch: int = 120) -> Array:
    """Write a figure as PNG, and return its picture in [0, 1], (height, width, 3).

    The folder is created if missing; an existing file is replaced only once the new one is complete.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(file) as partial:
        figure.savefig(partial, format="png", dpi=dots_per_inch)
    picture: Array = imread(file)[..., :3]
    return picture
