"""Positions of scalp electrodes: those in the data, else those of a standard montage."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import Position, places_of, positions_by_name
from eeg2speech.data.electrodes.names import are_inputs, is_input
from eeg2speech.data.electrodes.position_checks import fault_of_positions
from eeg2speech.data.files.raw import UNKNOWN

FEWEST_TO_FIT = 3
"""Smallest number of electrodes that a standard montage is fitted to."""
SHOWN = 8
"""Names in a warning."""
CHOOSE = (
    "they are inputs of an amplifier or numbers of a net; choose the montage of the cap, such as biosemi128, biosemi64 "
    "for A1 to B32, or GSN-HydroCel-128"
)

logger = logging.getLogger(__name__)


def placed_by_name(channels: Sequence[Channel], montage: str, source: Path) -> list[Channel]:
    """Give scalp electrodes without a position the one that their name has in a standard montage.

    Where the data have positions of at least half of the electrodes, the others get standard positions, rotated, moved
    and scaled to fit these. Where the data have fewer, all get standard positions, unless the montage has even fewer of
    them. The remaining electrodes stay without a position. Warnings name what was done.

    Raises:
        DataError: The montage is unknown.
    """
    scalp = [channel for channel in channels if channel.type == "eeg"]
    names = [channel.name for channel in scalp]
    standard = positions_by_name(names, montage)
    given = _given(scalp, source)
    fill = [name for name in names if name not in given and name in standard]
    if given and fill:
        common = [name for name in given if name in standard]
        if len(given) >= len(names) / 2 and len(common) >= FEWEST_TO_FIT:
            standard = _fitted(standard, given, common)
            logger.warning(
                "%s: gives no positions for %d of its %d electrodes (%s); they get those of %s, fitted to the others",
                source, len(fill), len(names), _shown(fill), montage,
            )  # fmt: skip
        elif len(given) <= len(standard):
            logger.warning(
                "%s: gives positions for only %d of its %d electrodes; all get those of %s by name",
                source, len(given), len(names), montage,
            )  # fmt: skip
            given = {}
        else:
            standard = {}
    places = standard | given
    _warn_of_unknown([name for name in names if name not in places], names, montage, source)
    return [placed_at(c, places.get(c.name, UNKNOWN)) if c.type == "eeg" else c for c in channels]


def placed_at(channel: Channel, place: Position) -> Channel:
    """A channel at another position, in metres."""
    x, y, z = place
    return replace(channel, x=x, y=y, z=z)


def _given(scalp: Sequence[Channel], source: Path) -> dict[str, Position]:
    """Positions in the data, empty if they are implausible."""
    fault = fault_of_positions([channel.name for channel in scalp], places_of(scalp))
    if fault:
        logger.warning("%s: positions in the file %s; they are not used", source, fault)
        return {}
    return {c.name: (c.x, c.y, c.z) for c in scalp if np.isfinite([c.x, c.y, c.z]).all()}


def _fitted(
    standard: Mapping[str, Position], given: Mapping[str, Position], common: Sequence[str]
) -> dict[str, Position]:
    """Standard positions, rotated, moved and scaled to the least-squares fit of the common electrodes.

    Reference: Umeyama 1991, Least-squares estimation of transformation parameters between two point patterns.
    """
    source, target = (np.array([places[name] for name in common]) for places in (standard, given))
    middle, centre = source.mean(axis=0), target.mean(axis=0)
    u, sizes, vt = np.linalg.svd((target - centre).T @ (source - middle))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # no reflection
    turn = (u * signs) @ vt
    scale = float((sizes * signs).sum() / ((source - middle) ** 2).sum())
    moved = {name: scale * turn @ (np.array(place) - middle) + centre for name, place in standard.items()}
    return {name: (float(x), float(y), float(z)) for name, (x, y, z) in moved.items()}


def _warn_of_unknown(unknown: Sequence[str], names: Sequence[str], montage: str, source: Path) -> None:
    if not unknown:
        return
    inputs = are_inputs(names) and sum(is_input(name) for name in unknown) > len(unknown) / 2
    logger.warning(
        "%s: no position is known for %s (not in %s); they stay without a position%s",
        source, _shown(unknown), montage, f" ({CHOOSE})" if inputs else "",
    )  # fmt: skip


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
