"""Channels of a new recording and those that a model was trained on: matching by name and type, and positions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import DECODABLE, Channel, RawRecording
from eeg2speech.data.electrodes.montage import electrode_positions, order_by_position, places_of
from eeg2speech.data.electrodes.names import contradict, find_channels, key_of
from eeg2speech.data.electrodes.position_checks import check_positions, warn_of_mixture

INTRACRANIAL = ("seeg", "ecog")
_LISTED = 5  # electrodes in an error message

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedMontage:
    """Channels of training recordings, in the order of their files.

    Attributes:
        names: As in the files.
        positions: Metres in head coordinates, NaN where unknown, (channels, 3).
        types: Of ``types.DECODABLE``.
    """

    names: tuple[str, ...]
    positions: NDArray[np.float64]
    types: tuple[str, ...]

    @property
    def keys(self) -> list[str]:
        """Names in the spelling by which channels are compared."""
        return [_key(name, kind) for name, kind in zip(self.names, self.types, strict=True)]


def types_in_order(types: Collection[str]) -> tuple[str, ...]:
    """Types in the order of ``types.DECODABLE``; EEG if there are none."""
    return tuple(kind for kind in DECODABLE if kind in types) or ("eeg",)


def types_of(montages: Sequence[TrainedMontage]) -> tuple[str, ...]:
    """Types of the channels of montages, in the order of ``types.DECODABLE``."""
    return types_in_order({kind for montage in montages for kind in montage.types})


def with_types(
    channels: Sequence[Channel], types: str | Sequence[str] | None, montages: Sequence[TrainedMontage]
) -> list[Channel]:
    """Channels of an array with their types.

    Args:
        channels: Of the array.
        types: Type of all channels or of each; None for the type of the training channel of the same name.
        montages: Of training.

    Raises:
        DataError: A type is not one of training, or a channel of unknown type has no namesake in training.
    """
    allowed = types_of(montages)
    if types is None:
        known = {key: kind for m in montages for key, kind in zip(m.keys, m.types, strict=True)}
        listed = [_type_of(channel.name, allowed, known) for channel in channels]
    elif isinstance(types, Sequence) and not isinstance(types, str):
        listed = list(types)
    else:
        listed = [types] * len(channels)
    if len(listed) != len(channels):
        raise DataError(f"types of {len(listed)} channels for {len(channels)}; give one, or one for each channel")
    for channel, kind in zip(channels, listed, strict=True):
        if kind not in allowed:
            raise DataError(
                f"channel {channel.name!r}: types={kind!r}, where the model was trained on {' and '.join(allowed)}; "
                "give the type of each channel, and leave other channels out"
            )
    return [replace(channel, type=kind) for channel, kind in zip(channels, listed, strict=True)]


def bad_channels(raw: RawRecording, listed: Sequence[str]) -> list[str]:
    """Names of the channels that are marked as bad, or match a list of bad channels by name."""
    named = find_channels(listed, raw.channels).values()
    return sorted({name for names in named for name in names} | {c.name for c in raw.channels if c.status == "bad"})


def choose_channels(
    raw: RawRecording, montages: Sequence[TrainedMontage], fixed: bool, keep_eog: bool = False
) -> RawRecording:
    """Keep the channels that a model can use, with positions.

    The position of a channel is that in the recording, else that in training, else that of its name on a standard head.
    Names of intracranial electrodes stand for another position in every person: the positions of training are used only
    if all names are those of one training recording. Channels other than EEG may stay without a position. With
    ``fixed``, channels keep their positions of training if those of the recording would change their order.

    Args:
        raw: The recording.
        montages: Of training.
        fixed: The model identifies channels by their order: all channels of one of the montages are needed, and others
            are left out. Else any channels of the right types are used.
        keep_eog: Append the EOG channels, for the ICA of the preprocessing.

    Raises:
        DataError: A channel is missing, occurs twice or is of another type, or an EEG electrode has no position.
    """
    types = types_of(montages)
    rows = [row for row, channel in enumerate(raw.channels) if channel.type in types]
    check_positions([raw.channels[row] for row in rows], "recording")
    eog = [row for row, channel in enumerate(raw.channels) if channel.type == "eog"] if keep_eog else []
    if not fixed:
        return _picked(raw, rows, _positions([raw.channels[row] for row in rows], montages), eog)
    row_of = {_key(raw.channels[row].name, raw.channels[row].type): row for row in rows}
    lacking = {}
    for montage in sorted(montages, key=lambda known: -len(known.names)):
        other_system = contradict(montage.names, [raw.channels[row].name for row in rows])
        keys = montage.keys
        missing = [n for n, key in zip(montage.names, keys, strict=True) if other_system or key not in row_of]
        if missing:
            lacking[montage.names] = missing
            continue
        chosen = [row_of[key] for key in keys]
        _check_chosen(raw.channels, rows, chosen, montage)
        own = places_of([raw.channels[row] for row in chosen])
        given = np.isfinite(own).all(1, keepdims=True)
        own = np.where(given, own, montage.positions)
        same_order = np.array_equal(order_by_position(own), order_by_position(montage.positions))
        if same_order:
            warn_of_mixture("recording", int(given.sum()), int((~given).sum()), 0)
        return _picked(raw, chosen, own if same_order else montage.positions, eog)
    names, missing = min(lacking.items(), key=lambda item: len(item[1]))
    what = "electrodes" if set(types) <= {"eeg", *INTRACRANIAL} else "sensors"
    raise DataError(
        f"the recording lacks {len(missing)} of the {len(names)} {what} that the model was trained with: "
        f"{_listed(missing)}; rename its channels or interpolate what is missing (raw.rename_channels, "
        "raw.interpolate_to), or train a model for any montage (model.spatial_pooling=pooling, "
        "model.subject_layer=false)"
    )


def _positions(channels: Sequence[Channel], montages: Sequence[TrainedMontage]) -> NDArray[np.float64]:
    """Positions of channels that may be of any montage, (channels, 3); see ``choose_channels``."""
    places, names = places_of(channels), [channel.name for channel in channels]
    keys = [_key(channel.name, channel.type) for channel in channels]
    unknown = [index for index in range(len(channels)) if not np.isfinite(places[index]).all()]
    in_training, lost = 0, []
    for index in unknown:
        kind = channels[index].type
        trained = _trained_place(keys[index], kind, keys, names, montages)
        if trained is not None:
            places[index] = trained
            in_training += 1
        elif kind == "eeg":
            places[index] = electrode_positions([names[index]], among=names)[0]
        else:
            lost.append(names[index])
    if lost:
        logger.warning("recording: %d channels have no position (%s) and go without one", len(lost), _listed(lost))
    by_name = len(unknown) - in_training - len(lost)
    warn_of_mixture("recording", len(names) - len(unknown), in_training, by_name)
    return places


def _trained_place(
    key: str, kind: str, keys: Sequence[str], names: Sequence[str], montages: Sequence[TrainedMontage]
) -> NDArray[np.float64] | None:
    """Position of a channel in training, (3,); None if it is not known or does not apply to this recording.

    Args:
        key: Of the channel.
        kind: Its type.
        keys: Of all channels of the recording.
        names: Of all channels of the recording.
        montages: Of training.
    """
    place = None
    for montage in montages:
        trained = montage.keys
        if key not in trained or (kind in INTRACRANIAL and set(trained) != set(keys)):
            continue
        found = montage.positions[trained.index(key)]
        if np.isfinite(found).all() and not contradict(montage.names, names):
            place = found
    return place


def _check_chosen(
    channels: Sequence[Channel], rows: Sequence[int], chosen: Sequence[int], montage: TrainedMontage
) -> None:
    """Refuse channels whose names are the same electrode, and channels of another type than in training."""
    keys = [_key(channels[row].name, channels[row].type) for row in rows]
    for row, key, kind in zip(chosen, montage.keys, montage.types, strict=True):
        if keys.count(key) > 1:
            same = [channels[other].name for other, its in zip(rows, keys, strict=True) if its == key]
            raise DataError(f"channels {' and '.join(same)} are the same electrode; rename or drop one of them")
        if channels[row].type != kind:
            raise DataError(
                f"channel {channels[row].name} is {channels[row].type}, in training it was {kind}; correct its type "
                "(raw.set_channel_types)"
            )


def _type_of(name: str, allowed: Sequence[str], known: dict[str, str]) -> str:
    if len(allowed) == 1:
        return allowed[0]
    return next((kind for kind in allowed if known.get(_key(name, kind)) == kind), "unknown")


def _key(name: str, kind: str) -> str:
    return key_of(kind)(name)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (" ..." if len(names) > _LISTED else "")


def _picked(raw: RawRecording, rows: list[int], places: NDArray[np.float64], further: list[int]) -> RawRecording:
    """A recording with some of its channels at new positions, followed by further channels as they are."""
    channels = [replace(raw.channels[row], x=x, y=y, z=z) for row, (x, y, z) in zip(rows, places.tolist(), strict=True)]
    channels += [raw.channels[row] for row in further]
    return replace(raw, eeg=raw.eeg[np.array([*rows, *further], np.intp), :], channels=channels)
