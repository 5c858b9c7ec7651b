"""The simulated head: electrodes of the standard montage on a layered sphere, and potentials of dipoles in it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError
from eeg2speech.data.electrodes.montage import standard_montage

# fmt: off
SPREAD_ORDER = (
    "Cz", "Fz", "Pz", "Oz", "C3", "C4", "T7", "T8", "F3", "F4", "P3", "P4", "F7", "F8", "O1", "O2",
    "P7", "P8", "Fp1", "Fp2", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "TP9", "TP10", "PO9", "PO10",
    "AF3", "AF4", "AF7", "AF8", "F1", "F2", "F5", "F6", "FT7", "FT8", "FC3", "FC4", "C1", "C2", "C5", "C6",
    "TP7", "TP8", "CP3", "CP4", "P1", "P2", "P5", "P6", "PO3", "PO4", "PO7", "PO8", "FCz", "CPz", "POz", "AFz",
)
# fmt: on
"""Electrodes in an order in which the first ones always cover the head."""
MONTAGE = "standard_1020"
FEWEST = 8
"""Smallest number of electrodes for which an average reference is near zero."""

_DEEPEST = 0.84  # of the head's radius: dipoles further out lie within 5 mm of the skull, which mne refuses

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Head:
    """A head with its electrodes.

    Attributes:
        names: Electrode names.
        positions: Electrode positions in metres, head coordinates, (C, 3).
        centre: Centre of the sphere in metres, (3,).
        radius: Radius of the scalp in metres.
    """

    names: tuple[str, ...]
    positions: Points
    centre: Points
    radius: float
    _info: Any
    _sphere: Any

    def leadfield(self, positions: Points, directions: Points) -> NDArray[np.float32]:
        """Potentials of dipoles of unit strength against the average of the electrodes.

        Args:
            positions: In metres, (dipoles, 3); those beyond the brain are moved into it.
            directions: Of any length, (dipoles, 3).

        Returns:
            In volts per ampere metre, (C, dipoles).
        """
        offset = positions - self.centre
        depth = np.linalg.norm(offset, axis=1, keepdims=True)
        inside = self.centre + offset * np.minimum(1, _DEEPEST * self.radius / depth)
        count = len(inside)
        # the times only number the dipoles; mne requires evenly spaced ones
        dipole = mne.Dipole(
            np.arange(count) / 1000,
            inside,
            np.full(count, 1e-8),
            unit(directions),
            np.full(count, 100.0),
            verbose=False,
        )
        forward, _ = mne.make_forward_dipole(dipole, self._sphere, self._info, verbose=False)
        gains = np.asarray(forward["sol"]["data"], np.float64)
        return np.asarray(gains - gains.mean(axis=0), np.float32)


@cache
def make_head(names: tuple[str, ...]) -> Head:
    """Head with the named electrodes; the sphere does not depend on them."""
    sphere = mne.make_sphere_model("auto", "auto", _info(SPREAD_ORDER), verbose=False)
    info = _info(names)
    positions = np.array([channel["loc"][:3] for channel in info["chs"]])
    return Head(names, positions, np.asarray(sphere["r0"]), float(sphere.radius), info, sphere)


def choose_electrodes(channels: int | Sequence[str]) -> tuple[str, ...]:
    """Choose electrodes.

    Args:
        channels: Their number, to be spread over the head and ordered from front to back; or their names, in order.

    Raises:
        ConfigError: There are too few or too many, or a name is repeated or not in the montage.
    """
    known = montage_names()
    if isinstance(channels, int):
        if not FEWEST <= channels <= len(SPREAD_ORDER):
            raise ConfigError(
                f"channels={channels} (simulation.channels): between {FEWEST} and {len(SPREAD_ORDER)} can be "
                "simulated; choose such a number or name the electrodes"
            )
        return tuple(sorted(SPREAD_ORDER[:channels], key=known.index))
    if len(channels) < FEWEST:
        raise ConfigError(
            f"channels={list(channels)} (simulation.channels): {len(channels)} electrodes; name at least {FEWEST}"
        )
    for number, name in enumerate(channels):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"channels: {name!r} (simulation.channels) is not in the 10-20 montage; did you mean {near!r}?"
            )
        if name in channels[:number]:
            raise ConfigError(f"channels: {name!r} (simulation.channels) is named twice; name it once")
    return tuple(channels)


@cache
def montage_names() -> tuple[str, ...]:
    """Every electrode that can be simulated, from front to back."""
    return tuple(standard_montage(MONTAGE).ch_names)


def unit(vectors: Points) -> Points:
    """Scale vectors, (..., 3), to length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _info(names: Sequence[str]) -> Any:
    info = mne.create_info(list(names), 100.0, "eeg", verbose=False)
    info.set_montage(standard_montage(MONTAGE), verbose=False)
    return info
