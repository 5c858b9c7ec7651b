"""Electrode positions of a BIDS dataset, in head coordinates."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mne
import numpy as np

from eeg2speech.data.downloads import is_listed
from eeg2speech.data.montage import Position
from eeg2speech.data.readers.bids_layout import BidsRecording, read_rows, sidecar, sidecars
from eeg2speech.data.reading import reading
from eeg2speech.errors import DataError

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
HEAD = ("CapTrak", "ElektaNeuromag")
"""Systems whose axes and origin are those of head coordinates."""
TURNED = ("CTF", "EEGLAB", "EEGLAB-HJ", "4DBti", "KitYokogawa")
"""Systems with x to the front and y to the left, about the same origin."""
RADIUS = (0.03, 0.3)
"""Metres that electrodes may lie from the middle of the head on average: else the units are wrong."""

logger = logging.getLogger(__name__)


def electrodes(root: Path, recording: BidsRecording) -> dict[str, Position]:
    """Positions of a recording's electrodes, by name; empty where the dataset has none that can be used.

    Scalp electrodes are moved into head coordinates by the landmarks in ``coordsystem.json``, or by its coordinate
    system if that is known to be one of the head. Intracranial ones stay in the dataset's own coordinates.

    Raises:
        DataError: A table or description is damaged.
    """
    if recording.datatype == "meg":
        return {}
    for table in sidecars(root, recording, "electrodes.tsv", free=("space",)):
        beside = table.with_name(table.name.removesuffix("electrodes.tsv") + "coordsystem.json")
        description = beside if is_listed(beside) else sidecar(root, recording, "coordsystem.json")
        places = _read(table)
        if description is None:
            logger.warning("%s: has no coordsystem.json; its positions are not used", table)
            continue
        with reading(description):
            system = json.loads(description.read_text(encoding="utf-8-sig"))
            moved = _intracranial(places, system) if recording.datatype == "ieeg" else _scalp(places, system)
        if moved is not None:
            return moved
        logger.warning("%s: coordinates that cannot be turned into those of the head; they are not used", description)
    return {}


def _read(table: Path) -> dict[str, Position]:
    places = {}
    for row in read_rows(table):
        try:
            x, y, z = (float(row.cells[axis] or "nan") for axis in "xyz")
            name = row.cells["name"]
        except KeyError as error:
            raise DataError(f"{table}: no column {error.args[0]!r}; add name, x, y and z") from error
        except ValueError as error:
            raise DataError(f"{row.where}: {error}; write numbers, n/a where nothing is known") from error
        if math.isfinite(x + y + z):
            places[name] = (x, y, z)
    return places


def _intracranial(places: Mapping[str, Position], system: Mapping[str, Any]) -> dict[str, Position] | None:
    scale = METRES.get(system.get("iEEGCoordinateUnits", ""))
    return None if scale is None else {name: (x * scale, y * scale, z * scale) for name, (x, y, z) in places.items()}


def _scalp(places: Mapping[str, Position], system: Mapping[str, Any]) -> dict[str, Position] | None:
    """Positions in head coordinates, None if the description does not say how to get there."""
    name, units = system.get("EEGCoordinateSystem", ""), system.get("EEGCoordinateUnits", "")
    if units not in METRES or not places:
        return None
    points = {electrode: METRES[units] * np.array(place) for electrode, place in places.items()}
    landmarks = _landmarks(system, name, units)
    if landmarks:
        montage = mne.channels.make_dig_montage(points, coord_frame="unknown", **landmarks)
        points = mne.channels.montage.transform_to_head(montage).get_positions()["ch_pos"]
    elif name in TURNED:
        points = {electrode: np.array([-y, x, z]) for electrode, (x, y, z) in points.items()}
    elif name not in HEAD:
        return None
    radius = float(np.mean([np.linalg.norm(point) for point in points.values()]))
    if not RADIUS[0] < radius < RADIUS[1]:
        return None
    return {electrode: (float(x), float(y), float(z)) for electrode, (x, y, z) in points.items()}


def _landmarks(system: Mapping[str, Any], name: str, units: str) -> dict[str, np.ndarray] | None:
    """Nasion and both ears in metres, None unless all are there in the electrodes' own coordinates."""
    found = {str(key).upper(): place for key, place in (system.get("AnatomicalLandmarkCoordinates") or {}).items()}
    scale = METRES.get(system.get("AnatomicalLandmarkCoordinateUnits", units))
    same = system.get("AnatomicalLandmarkCoordinateSystem", name) == name
    names = {"nasion": "NAS", "lpa": "LPA", "rpa": "RPA"}
    if not same or scale is None or not found.keys() >= set(names.values()):
        return None
    points = {argument: scale * np.array(found[landmark], float) for argument, landmark in names.items()}
    usable = all(point.shape == (3,) and np.isfinite(point).all() for point in points.values())
    return points if usable else None
