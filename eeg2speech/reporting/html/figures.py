"""Reading of figures that a test wrote, whichever of its parts wrote them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eeg2speech.plotting import Mark
from eeg2speech.reporting.html.views import Cell, figure_cell


def cell_of(figure: Mapping[str, Any] | None, key: str = "value") -> Cell:
    """A figure with its interval; a dash where the test left it out."""
    if figure is None:
        return Cell("\N{EN DASH}")
    return figure_cell(_number(figure.get(key)), _number(figure.get("low")), _number(figure.get("high")))


def mark_of(name: str, figure: Mapping[str, Any], own: bool = False, key: str = "value") -> Mark:
    """A figure to draw."""
    value, low, high = (_number(figure.get(k)) for k in (key, "low", "high"))
    nan = math.nan
    return Mark(name, nan if value is None else value, nan if low is None else low, nan if high is None else high, own)


def mark_text(mark: Mark) -> str:
    """A figure in words, for those who do not see it drawn."""
    cell = figure_cell(mark.value, mark.low, mark.high)
    return f"{mark.name} {cell.text}" + (f" (95 % interval {cell.note})" if cell.note else "")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
