"""Colours and layout that figures share."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

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
