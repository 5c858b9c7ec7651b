"""Where electrodes sit: positions by name or from a file, their order, and interpolation between them."""

from __future__ import annotations

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
"""Montages that mne 1.13 gave another name."""
INPUTS = ("biosemi16", "biosemi32", "biosemi64")
"""Caps that mne lists by names of the 10-20 system, in the order of the amplifier's inputs: A1 to A32, B1 to B32."""
MIN_VISIBLE = 3
"""Fewest electrodes that a spherical spline is fitted to."""
HEAD_CENTRE = (0.0, 0.0144, 0.037)
"""Centre of the sphere through the standard 10-20 electrodes in head coordinates, in metres."""

Position = tuple[float, float, float]


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
        source: File or recording that the names come from, for error messages.
        among: All names of the recording if these are some of them: they show what A1 and C3 mean.

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
    """Positions on a standard head of those electrodes whose names a montage has.

    Names are compared without case, blanks and what files write around them (``EEG Fp1-REF``, ``Fp1.``); T3, T4, T5
    and T6 are taken for T7, T8, P7 and P8. Inputs of a BioSemi amplifier (A1 to H32) are never taken for electrodes of
    the 10-20 system, nor the other way round: A1, C3 and F4 mean one or the other, as the other names show. In
    ``biosemi16``, ``biosemi32`` and ``biosemi64``, inputs are the electrodes that such a cap has there.

    Args:
        names: Of all electrodes of a recording.
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
def _listed(montage: str) -> list[tuple[str, Position]]:
    """Names and positions in the order of the montage."""
    available = mne.channels.get_builtin_montages()
    kind = montage if montage in available else RENAMED.get(montage, montage)
    if kind not in available:
        raise DataError(f"montage {montage!r} is not built in; choose one of {', '.join(available)}")
    standard = mne.channels.make_standard_montage(kind)
    info = mne.create_info(standard.ch_names, 1.0, "eeg")
    info.set_montage(standard, verbose="ERROR")  # moves it into head coordinates
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

    Such files place electrodes about the middle of the head, while head coordinates start between the ears.
    The sphere is therefore moved to the centre of the standard head: this brings the 14 electrodes of an
    Emotiv cap to within 12 mm of their standard positions on average, instead of 42 mm.

    Returns:
        Head coordinates in metres by name.

    Raises:
        DataError: The file is missing or cannot be understood.
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


def order_by_position(positions: NDArray[np.floating]) -> NDArray[np.intp]:
    """Order electrodes so that consecutive ones are neighbours.

    The cap is halved again and again. The left half's size is the power of two that holds at least half of
    the electrodes, so that every aligned run of 2, 4 or 8 is one patch of the scalp. Of the 26 directions
    through a cube the cut follows the one whose two halves are most compact.

    Args:
        positions: Metres, NaN where unknown, (channels, 3).

    Returns:
        Indices into ``positions``, (channels,); unknown positions come last in the order of the file.
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
        visible: Electrodes to interpolate from, at least three: their indices, or True for each of them.

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
