"""The simulated head: electrodes of the standard montage on a layered sphere, and what sources in it look like."""

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

# fmt: off
SPREAD_ORDER = (
    "Cz", "Fz", "Pz", "Oz", "C3", "C4", "T7", "T8", "F3", "F4", "P3", "P4", "F7", "F8", "O1", "O2",
    "P7", "P8", "Fp1", "Fp2", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "TP9", "TP10", "PO9", "PO10",
    "AF3", "AF4", "AF7", "AF8", "F1", "F2", "F5", "F6", "FT7", "FT8", "FC3", "FC4", "C1", "C2", "C5", "C6",
    "TP7", "TP8", "CP3", "CP4", "P1", "P2", "P5", "P6", "PO3", "PO4", "PO7", "PO8", "FCz", "CPz", "POz", "AFz",
)
# fmt: on
"""Electrodes such that the first few of them always cover the head."""
FEWEST = 8
"""Below this an average reference is no longer near zero."""

_DEEPEST = 0.84  # of the head's radius: dipoles further out lie within 5 mm of the skull, which mne refuses

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Head:
    """A head with its electrodes.

    Attributes:
        names: Electrodes.
        positions: Where they are in metres, head coordinates, (C, 3).
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
        # the times only number the dipoles; mne wants evenly spaced ones
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
    """Head with the named electrodes; its sphere is the same whichever they are."""
    sphere = mne.make_sphere_model("auto", "auto", _info(SPREAD_ORDER), verbose=False)
    info = _info(names)
    positions = np.array([channel["loc"][:3] for channel in info["chs"]])
    return Head(names, positions, np.asarray(sphere["r0"]), float(sphere.radius), info, sphere)


def choose_electrodes(channels: int | Sequence[str]) -> tuple[str, ...]:
    """Names of electrodes.

    Args:
        channels: How many, spread over the head and ordered from front to back; or their names, kept in order.

    Raises:
        ConfigError: Too few or too many, a name twice, or one that the montage does not know.
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
    return tuple(_montage().ch_names)


def unit(vectors: Points) -> Points:
    """Scale vectors, (..., 3), to length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


@cache
def _montage() -> Any:
    # mne 1.13 gave the standard montage another name
    new, old = "colin27_1020", "standard_1020"
    return mne.channels.make_standard_montage(new if new in mne.channels.get_builtin_montages() else old)


def _info(names: Sequence[str]) -> Any:
    info = mne.create_info(list(names), 100.0, "eeg", verbose=False)
    info.set_montage(_montage(), verbose=False)
    return info
