"""Electrode positions: read by name or from a file, checked, put in order, and interpolated between."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import product
from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.names import channel_key, contradict, electrode_key, is_input

RENAMED = {"standard_1020": "colin27_1020", "standard_1005": "colin27_1005"}
"""Montages that mne 1.13 renamed."""
INPUTS = ("biosemi16", "biosemi32", "biosemi64")
"""Caps that mne lists by names of the 10-20 system, in the order of the amplifier's inputs: A1 to A32, B1 to B32."""
MIN_VISIBLE = 3
"""Smallest number of electrodes that a spherical spline can be fitted to."""
HEAD_CENTRE = (0.0, 0.0144, 0.037)
"""Centre of the sphere through the standard 10-20 electrodes in head coordinates, in metres."""
RADIUS = (0.03, 0.3)
"""Plausible distance of scalp electrodes from the origin in metres, on average and for each: else the unit is wrong."""
SAME_PLACE = 1e-3
"""Extent of all electrodes in metres below which their positions are wrong."""

Position = tuple[float, float, float]
logger = logging.getLogger(__name__)


def electrode_positions(
    names: Sequence[str],
    montage: str = "standard_1020",
    source: str = "montage",
    among: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Positions of named electrodes on a standard head.

    Args:
        names: Electrode names as in ``positions_by_name``.
        montage: One of mne's built-in montages.
        source: File or recording of the names, for error messages.
        among: All names of the recording if ``names`` are a part of them; they decide what A1 and C3 mean.

    Returns:
        Head coordinates in metres (x right, y front, z up), (len(names), 3).

    Raises:
        DataError: The montage or a name in it is unknown.
    """
    among = [*names, *(among or ())]
    found = positions_by_name(among, montage)
    for name in names:
        if name not in found:
            raise DataError(f"{source}: electrode {name!r} is not in {montage}; {_advice(name, among, montage)}")
    return np.array([found[name] for name in names], np.float64).reshape(-1, 3)


def positions_by_name(names: Sequence[str], montage: str = "standard_1020") -> dict[str, Position]:
    """Positions on a standard head of those electrodes that are in a montage.

    Names are compared without case, blanks and decorations (``EEG Fp1-REF``, ``Fp1.``); T3, T4, T5 and T6 mean T7, T8,
    P7 and P8. Inputs of a BioSemi amplifier (A1 to H32) are never confused with electrodes of the 10-20 system: A1, C3
    and F4 mean one or the other, depending on the other names. In ``biosemi16``, ``biosemi32`` and ``biosemi64``,
    inputs mean the electrodes that such a cap has there.

    Args:
        names: All electrodes of a recording.
        montage: One of mne's built-in montages.

    Returns:
        Head coordinates in metres (x right, y front, z up), by name.

    Raises:
        DataError: The montage is unknown.
    """
    listed = _listed(montage)
    other = contradict(names, [name for name, _ in listed])
    if other and montage in INPUTS:
        inputs = [f"{'AB'[row // 32]}{row % 32 + 1}" for row in range(len(listed))]
        listed, other = [(name, place) for name, (_, place) in zip(inputs, listed, strict=True)], False
    known = {key(name): place for name, place in reversed(listed) for key in (electrode_key, channel_key)}
    found = {}
    for name in names:
        place = known.get(channel_key(name), known.get(electrode_key(name)))
        if place is not None and not (other and is_input(name)):
            found[name] = place
    return found


def _advice(name: str, names: Sequence[str], montage: str) -> str:
    """What to do about a name that a montage does not have."""
    listed = {channel_key(known): known for known, _ in _listed(montage)}
    if is_input(name) and contradict(names, listed.values()):
        return "it is an input of an amplifier; choose the montage of its cap (such as biosemi128) or give its position"
    close = get_close_matches(channel_key(name), listed, n=3)
    hint = f"did you mean {', '.join(listed[match] for match in close)}? Rename it" if close else "rename it"
    return f"{hint} or give its position"


@cache
def standard_montage(name: str) -> mne.channels.DigMontage:
    """One of mne's built-in montages.

    Raises:
        DataError: mne has no montage of that name.
    """
    available = mne.channels.get_builtin_montages()
    kind = name if name in available else RENAMED.get(name, name)
    if kind not in available:
        raise DataError(f"montage {name!r} is not built in; choose one of {', '.join(available)}")
    return mne.channels.make_standard_montage(kind)


@cache
def _listed(montage: str) -> list[tuple[str, Position]]:
    """Names and positions in the order of the montage."""
    standard = standard_montage(montage)
    info = mne.create_info(standard.ch_names, 1.0, "eeg")
    info.set_montage(standard, verbose="ERROR")  # transforms it to head coordinates
    places = []
    for channel in info["chs"]:
        x, y, z = (float(value) for value in channel["loc"][:3])
        places.append((str(channel["ch_name"]), (x, y, z)))
    return places


def places_of(channels: Iterable[Channel]) -> NDArray[np.float64]:
    """Positions of channels in metres, NaN where unknown, (channels, 3)."""
    return np.array([[channel.x, channel.y, channel.z] for channel in channels], float).reshape(-1, 3)


def read_locs(file: Path) -> dict[str, Position]:
    """Read an EEGLAB ``.locs`` file: polar angles on a sphere.

    The origin of such files is the middle of the head; that of head coordinates lies between the ears. The sphere is
    therefore moved to the centre of the standard head, which brings the 14 electrodes of an Emotiv cap to within 12 mm
    of their standard positions on average, instead of 42 mm.

    Returns:
        Head coordinates in metres by name.

    Raises:
        DataError: The file is missing, empty or malformed.
    """
    try:
        if not file.read_text(encoding="utf-8", errors="replace").strip():
            raise DataError(f"{file}: is empty; replace or remove it")
        montage = mne.channels.read_custom_montage(file)
    except (OSError, ValueError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file}: no electrode positions can be read ({reason}); replace or remove it") from error
    x, y, z = HEAD_CENTRE
    places = montage.get_positions()["ch_pos"]
    return {name: (float(p[0] + x), float(p[1] + y), float(p[2] + z)) for name, p in places.items()}


def fault_of_positions(names: Sequence[str], positions: NDArray[np.float64]) -> str:
    """Describe what is wrong with positions of scalp electrodes, such as millimetres given as metres.

    Args:
        names: Names of the electrodes, (channels,).
        positions: Metres in head coordinates, NaN where unknown, (channels, 3).

    Returns:
        Words that follow "positions"; empty if they are plausible.
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

    Raises:
        DataError: They are too far from the middle of the head, or all equal.
    """
    scalp = [channel for channel in channels if channel.type == "eeg"]
    fault = fault_of_positions([channel.name for channel in scalp], places_of(scalp))
    if fault:
        raise DataError(f"{source}: positions of its electrodes {fault}; give metres in head coordinates, or none")


def warn_of_mixture(source: str, given: int, trained: int, standard: int) -> None:
    """Warn if the positions of one recording come from several sources.

    Args:
        source: The recording.
        given: Number of electrodes with a position of their own.
        trained: Number of electrodes that get their position in the training data.
        standard: Number of electrodes that get their position on a standard head.
    """
    if (given > 0) + (trained > 0) + (standard > 0) > 1:
        logger.warning(
            "%s: positions of %d electrodes are its own, of %d those of training, of %d those of a standard head; they "
            "may differ by centimetres, so give the positions of all",
            source, given, trained, standard,
        )  # fmt: skip


def order_by_position(positions: NDArray[np.floating]) -> NDArray[np.intp]:
    """Order electrodes so that consecutive ones are neighbours.

    The cap is halved recursively. The left half's size is the power of two that holds at least half of the
    electrodes, so that every aligned run of 2, 4 or 8 is one patch of the scalp. Of the 26 directions through a cube,
    the cut follows the one whose two halves are most compact.

    Args:
        positions: Metres, NaN where unknown, (channels, 3).

    Returns:
        Indices into ``positions``, (channels,); unknown positions come last in their original order.
    """
    known = np.isfinite(positions).all(axis=1)
    places: NDArray[np.float64] = np.asarray(positions, np.float64).round(6)  # micrometres: equal on every machine

    def bisect(members: NDArray[np.intp]) -> list[int]:
        if len(members) <= 2:
            return [int(member) for member in members]
        left = 1 << (len(members) - 1).bit_length() - 1
        best: tuple[float, NDArray[np.intp]] | None = None
        for direction in product((1, 0, -1), repeat=3):
            if direction == (0, 0, 0):
                continue
            ordered = members[np.argsort(places[members] @ np.array(direction), kind="stable")]
            cost = round(_spread(places[ordered[:left]]) + _spread(places[ordered[left:]]), 9)
            if best is None or cost < best[0]:
                best = (cost, ordered)
        assert best is not None
        return bisect(best[1][:left]) + bisect(best[1][left:])

    return np.array([*bisect(np.flatnonzero(known)), *np.flatnonzero(~known)], np.intp)


def _spread(places: NDArray[np.float64]) -> float:
    """Summed squared distance to the mean, in square metres."""
    return float(((places - places.mean(axis=0)) ** 2).sum())


def spherical_spline(
    positions: NDArray[np.floating], visible: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Matrix that interpolates every electrode from the visible ones.

    Args:
        positions: Head coordinates in metres, all known, (channels, 3).
        visible: Electrodes to interpolate from, at least three: indices, or a mask.

    Returns:
        (channels, visible electrodes); the rows of visible electrodes are those of the identity.

    Raises:
        DataError: Fewer than three electrodes are visible, or a position is unknown.

    Reference: Perrin et al. 1989, Spherical splines for scalp potential and current density mapping.
    """
    rows = np.flatnonzero(visible) if np.asarray(visible).dtype == bool else np.asarray(visible, np.intp)
    channels = len(positions)
    if rows.size < MIN_VISIBLE:
        raise DataError(f"spherical splines need {MIN_VISIBLE} visible electrodes, got {rows.size}; show more of them")
    if not np.isfinite(positions).all():
        raise DataError("spherical splines need the position of every electrode; give positions or leave some out")
    matrix = np.zeros((channels, rows.size))
    matrix[rows, np.arange(rows.size)] = 1.0
    if rows.size == channels:
        return matrix
    names = [str(row) for row in range(channels)]
    info = mne.create_info(names, 1.0, "eeg")
    montage = mne.channels.make_dig_montage(dict(zip(names, positions, strict=True)), coord_frame="head")
    raw = mne.io.RawArray(matrix, info, verbose="ERROR")
    raw.set_montage(montage, verbose="ERROR")
    raw.info["bads"] = [names[row] for row in sorted(set(range(channels)) - set(rows.tolist()))]
    raw.interpolate_bads(origin=HEAD_CENTRE, verbose="ERROR")
    return np.asarray(raw.get_data())
