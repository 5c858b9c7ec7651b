"""Electrode positions of a BIDS dataset, in head coordinates."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mne
import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import DECODABLE, Channel
from eeg2speech.data.electrodes.montage import Position
from eeg2speech.data.electrodes.names import key_of, match_names
from eeg2speech.data.electrodes.position_checks import fault_of_positions
from eeg2speech.data.files.bids_layout import BidsRecording, read_rows, sidecar, sidecars
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.placing import placed_at
from eeg2speech.data.files.raw import UNKNOWN
from eeg2speech.data.files.reading import wrap_read_errors

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
FARTHEST = 0.5
"""Largest mean distance of intracranial electrodes from the origin of their coordinates, in metres."""
HEAD = ("CapTrak", "ElektaNeuromag")
"""Systems whose axes and origin are those of head coordinates."""
TURNED = ("CTF", "EEGLAB", "EEGLAB-HJ", "4DBti", "KitYokogawa")
"""Systems with x to the front and y to the left, with about the same origin."""
EARS = (0.08, 0.3)
"""Plausible distance of the landmarks at both ears in metres; any other means that they are in another unit."""

logger = logging.getLogger(__name__)


def with_electrodes(channels: Sequence[Channel], root: Path, recording: BidsRecording) -> list[Channel]:
    """Channels with the positions of ``electrodes.tsv``; unchanged where the dataset has no usable positions.

    Names are compared by ``match_names``. Positions of scalp electrodes are transformed to head coordinates by the
    landmarks in ``coordsystem.json``, or by its coordinate system if that is one of the head. Intracranial electrodes
    keep the dataset's own coordinates. All positions in the recording are discarded then, as they may belong to another
    cap or coordinate system.

    Raises:
        DataError: A table or description is damaged.
    """
    if recording.datatype == "meg":
        return list(channels)
    for table in sidecars(root, recording, "electrodes.tsv", free=("space",)):
        beside = table.with_name(table.name.removesuffix("electrodes.tsv") + "coordsystem.json")
        description = beside if is_listed(beside) else sidecar(root, recording, "coordsystem.json")
        places = _read(table)
        if description is None:
            logger.warning("%s: has no coordsystem.json; its positions are not used", table)
            continue
        with wrap_read_errors(description):
            system = json.loads(description.read_text(encoding="utf-8-sig"))
            moved = _intracranial(places, system) if recording.datatype == "ieeg" else _scalp(places, system)
        if isinstance(moved, str):
            logger.warning("%s: %s; the positions of its electrodes are not used", description, moved)
            continue
        decoded = [channel.name for channel in channels if channel.type in DECODABLE]
        named = match_names(decoded, moved, key_of(recording.datatype))
        if named:
            return [placed_at(c, moved[named[c.name]] if c.name in named else UNKNOWN) for c in channels]
        if moved:
            logger.warning(
                "%s: none of its electrodes (%s, ...) is in %s (%s, ...); its positions are not used",
                table, ", ".join(list(moved)[:3]), recording.file.name, ", ".join(decoded[:3]),
            )  # fmt: skip
    return list(channels)


def _read(table: Path) -> dict[str, Position]:
    places = {}
    for row in read_rows(table):
        try:
            x, y, z = (float(row.cells[axis] or "nan") for axis in "xyz")
            name = row.cells["name"]
            if name in places:
                raise DataError(f"{row.where}: electrode {name!r} occurs twice; give each electrode its own name")
            places[name] = (x, y, z)
        except KeyError as error:
            raise DataError(f"{table}: no column {error.args[0]!r}; add name, x, y and z") from error
        except ValueError as error:
            raise DataError(f"{row.where}: {error}; write numbers, or n/a where the position is unknown") from error
    return {name: place for name, place in places.items() if math.isfinite(sum(place)) and any(place)}


def _metres(system: Mapping[str, Any], key: str, places: Mapping[str, Position]) -> float | str:
    """Metres per unit of the coordinates, or the reason why the unit is unknown."""
    unit = str(system.get(key) or "n/a")
    found = METRES.get(unit.strip().lower())
    if found is not None:
        return found
    size = _distance(places.values())
    fitting = [name for name, metres in METRES.items() if 0.05 < size * metres < 0.15]
    guess = f"; as they lie {size:.3g} from the origin on average, {fitting[0]} would be right" if fitting else ""
    return f"{key} is {unit!r}, not m, cm or mm{guess}"


def _distance(places: Iterable[Position]) -> float:
    """Mean distance from the origin; 0 without positions."""
    return float(np.mean([float(np.linalg.norm(place)) for place in places] or [0.0]))


def _intracranial(places: Mapping[str, Position], system: Mapping[str, Any]) -> dict[str, Position] | str:
    scale = _metres(system, "iEEGCoordinateUnits", places)
    if isinstance(scale, str):
        return scale
    moved = {name: (x * scale, y * scale, z * scale) for name, (x, y, z) in places.items()}
    distance = _distance(moved.values())
    if distance > FARTHEST:
        return f"in {system['iEEGCoordinateUnits']} electrodes lie {distance:.3g} m away; correct iEEGCoordinateUnits"
    return moved


def _scalp(places: Mapping[str, Position], system: Mapping[str, Any]) -> dict[str, Position] | str:
    """Positions in head coordinates, or the reason why the transformation is unknown."""
    name, scale = str(system.get("EEGCoordinateSystem", "")), _metres(system, "EEGCoordinateUnits", places)
    if isinstance(scale, str):
        return scale
    if not places:
        return {}
    points = {electrode: scale * np.array(place) for electrode, place in places.items()}
    landmarks = _landmarks(system, name, scale)
    if landmarks:
        montage = mne.channels.make_dig_montage(points, coord_frame="unknown", **landmarks)
        points = mne.channels.montage.transform_to_head(montage).get_positions()["ch_pos"]
    elif name in TURNED:
        points = {electrode: np.array([-y, x, z]) for electrode, (x, y, z) in points.items()}
    elif name not in HEAD:
        return (
            f"coordinates of EEGCoordinateSystem={name!r} without landmarks cannot be transformed to the head; "
            "add AnatomicalLandmarkCoordinates of NAS, LPA and RPA"
        )
    fault = fault_of_positions(list(points), np.array(list(points.values())))
    if fault:
        return f"in {system['EEGCoordinateUnits']} its electrodes {fault}; correct EEGCoordinateUnits"
    return {electrode: (float(x), float(y), float(z)) for electrode, (x, y, z) in points.items()}


def _landmarks(system: Mapping[str, Any], name: str, scale: float) -> dict[str, np.ndarray] | None:
    """Nasion and both ears in metres, in the coordinates of the electrodes; None unless all exist and are plausible."""
    marks = system.get("AnatomicalLandmarkCoordinates")  # "n/a" where unknown, as a whole or for each
    items = marks.items() if isinstance(marks, Mapping) else ()
    found = {str(key).upper(): place for key, place in items if isinstance(place, list) and "n/a" not in place}
    unit = system.get("AnatomicalLandmarkCoordinateUnits")
    own = scale if unit is None else METRES.get(str(unit).strip().lower())
    same = system.get("AnatomicalLandmarkCoordinateSystem", name) == name
    names = {"nasion": "NAS", "lpa": "LPA", "rpa": "RPA"}
    if not same or own is None or not found.keys() >= set(names.values()):
        return None
    points = {argument: own * np.array(found[landmark], float) for argument, landmark in names.items()}
    usable = all(point.shape == (3,) and np.isfinite(point).all() for point in points.values())
    between_ears = np.linalg.norm(points["lpa"] - points["rpa"]) if usable else 0.0
    return points if EARS[0] < between_ears < EARS[1] else None
