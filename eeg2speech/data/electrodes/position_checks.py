"""Positions of electrodes that cannot be right, such as millimetres that are taken for metres."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import places_of

RADIUS = (0.03, 0.3)
"""Metres that scalp electrodes may lie from the middle of the head, on average and each: else their unit is wrong."""
SAME_PLACE = 1e-3
"""Metres within which all electrodes lie only where positions are wrong."""

logger = logging.getLogger(__name__)


def fault_of_positions(names: Sequence[str], positions: NDArray[np.float64]) -> str:
    """What is wrong with positions of scalp electrodes, such as millimetres that are taken for metres.

    Args:
        names: Of the electrodes, (channels,).
        positions: Metres in head coordinates, NaN where unknown, (channels, 3).

    Returns:
        Words that follow "positions"; empty where nothing is wrong.
    """
    rows = np.flatnonzero(np.isfinite(positions).all(axis=1))
    if not rows.size:
        return ""
    known = positions[rows]
    radii = np.linalg.norm(known, axis=1)
    low, high = RADIUS
    mean, farthest = float(radii.mean()), int(radii.argmax())
    if not low < mean < high:
        units = {"millimetres": 1e-3, "centimetres": 1e-2, "directions without a length": 0.1}
        likely = next((f", so they look like {unit}" for unit, m in units.items() if 0.05 < mean * m < 0.15), "")
        return f"lie {mean:.3g} m from the middle of the head on average, where {low} to {high} is possible{likely}"
    if radii[farthest] >= high:
        return f"hold {names[rows[farthest]]} {radii[farthest]:.3g} m from the middle of the head"
    if rows.size > 1 and np.ptp(known, axis=0).max() < SAME_PLACE:
        return f"are the same for all {rows.size} electrodes"
    return ""


def check_positions(channels: Sequence[Channel], source: str) -> None:
    """Refuse positions of scalp electrodes that cannot be metres in head coordinates.

    Args:
        channels: Of a recording.
        source: The recording, for the error message.

    Raises:
        DataError: They lie too far from the middle of the head, or all in one place.
    """
    scalp = [channel for channel in channels if channel.type == "eeg"]
    fault = fault_of_positions([channel.name for channel in scalp], places_of(scalp))
    if fault:
        raise DataError(f"{source}: positions of its electrodes {fault}; give metres in head coordinates, or none")


def warn_of_mixture(source: str, given: int, trained: int, standard: int) -> None:
    """Say so where the positions of one recording come from several sources.

    Args:
        source: The recording.
        given: Electrodes that it places itself.
        trained: Electrodes that take their place in training.
        standard: Electrodes that take their place on a standard head.
    """
    if (given > 0) + (trained > 0) + (standard > 0) > 1:
        logger.warning(
            "%s: positions of %d electrodes are its own, of %d those of training, of %d those of a standard head; they "
            "may differ by centimetres, so give the positions of all",
            source, given, trained, standard,
        )  # fmt: skip
