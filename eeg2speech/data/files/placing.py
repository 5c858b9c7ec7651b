"""Places of scalp electrodes: those that the data give, else those of a standard montage."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import Position, fault_of_positions, places_of, positions_by_name
from eeg2speech.data.electrodes.names import are_inputs, is_input
from eeg2speech.data.files.raw import UNKNOWN

FEWEST_TO_FIT = 3
"""Electrodes that a standard montage is fitted to."""
SHOWN = 8
"""Names in a warning."""
CHOOSE = (
    "they are inputs of an amplifier or numbers of a net; choose the montage of the cap, such as biosemi128, biosemi64 "
    "for A1 to B32, or GSN-HydroCel-128"
)

logger = logging.getLogger(__name__)


def placed_by_name(channels: Sequence[Channel], montage: str, source: Path) -> list[Channel]:
    """Give scalp electrodes without a place the one that their name has in a standard montage.

    Where the data place at least half of the electrodes, the others take standard places that are turned, moved and
    scaled to fit those. Where they place fewer, all take standard places, unless the montage has even fewer of them.
    Electrodes that are left stay without. Warnings name what was done.

    Args:
        channels: Of a recording, with the places that the data give.
        montage: One of mne's built-in montages.
        source: File that the channels come from, for warnings.

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
                "%s: gives no positions for %d of its %d electrodes (%s); they take those of %s, fitted to the others",
                source, len(fill), len(names), _shown(fill), montage,
            )  # fmt: skip
        elif len(given) <= len(standard):
            logger.warning(
                "%s: gives positions for only %d of its %d electrodes; all take those of %s by name",
                source, len(given), len(names), montage,
            )  # fmt: skip
            given = {}
        else:
            standard = {}
    places = standard | given
    _warn_of_unknown([name for name in names if name not in places], names, montage, source)
    return [placed_at(c, places.get(c.name, UNKNOWN)) if c.type == "eeg" else c for c in channels]


def placed_at(channel: Channel, place: Position) -> Channel:
    """A channel, moved to a place in metres."""
    x, y, z = place
    return replace(channel, x=x, y=y, z=z)


def _given(scalp: Sequence[Channel], source: Path) -> dict[str, Position]:
    """Places that the data give, none if they cannot be right."""
    fault = fault_of_positions([channel.name for channel in scalp], places_of(scalp))
    if fault:
        logger.warning("%s: positions in the file %s; they are not used", source, fault)
        return {}
    return {c.name: (c.x, c.y, c.z) for c in scalp if np.isfinite([c.x, c.y, c.z]).all()}


def _fitted(
    standard: Mapping[str, Position], given: Mapping[str, Position], common: Sequence[str]
) -> dict[str, Position]:
    """Standard places, turned, moved and scaled so that common electrodes come closest to their given places.

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
        "%s: no place is known for %s (not in %s); they go without one%s",
        source, _shown(unknown), montage, f" ({CHOOSE})" if inputs else "",
    )  # fmt: skip


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
