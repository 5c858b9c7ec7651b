"""Electrode names: which of them mean the same electrode, and which are inputs of an amplifier."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from eeg2speech.core.types import Channel

SYNONYMS = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
"""Names of the original 10-20 system that the extended one changed. A1 (earlobe), M1 (mastoid) and TP9 are three
different places, so they are no synonyms."""
DECORATION = re.compile(r"^EEG[ _-]+(?=.)|(?<=.)[ _-]+(REF|LE|AR|AVG|CE)$|\.+$", re.IGNORECASE)
"""Decorations of channel names: ``EEG Fp1-REF``, ``Fp1.``."""
EAR_REFERENCE = re.compile(r"(?<=.)[ _-]+[AM][12]$", re.IGNORECASE)
"""Suffix of an electrode whose reference is an earlobe or a mastoid: ``C3-M2``."""
PADDING = re.compile(r"^(e?)0+(?=\d)")
"""Leading zeros in the names of a net: ``E001``. ``P07`` is left alone, as it may be a misspelt PO7."""
INPUT = re.compile(r"[a-h]\d{1,3}")
"""Inputs of a BioSemi amplifier, A1 to H32; names of numbered nets, such as E1 to E256, match as well."""
AMBIGUOUS = re.compile(r"[acef][12]|[cf][3-6]|f([7-9]|10)")
"""Inputs that are also names of the 10-20 system (A1 is Cz on a BioSemi cap, and the left earlobe elsewhere), or of
electrodes beside the eyes (E1, E2)."""
TEN_TWENTY = re.compile(r"[acfinopt]{1,3}z|(fp|af|fc|ft|cp|tp|po|t|p|o)\d{1,2}")
"""Names of the 10-20 system that are not inputs."""


def channel_key(name: str) -> str:
    """Normalise a channel name: without case, blanks and decorations."""
    return "".join(DECORATION.sub("", DECORATION.sub("", name.strip())).split()).casefold()


def electrode_key(name: str) -> str:
    """Normalise the name of a scalp electrode: as ``channel_key``, and with synonyms such as T3 for T7."""
    key = PADDING.sub(r"\1", channel_key(EAR_REFERENCE.sub("", name.strip())))
    return SYNONYMS.get(key, key)


def key_of(kind: str) -> Callable[[str], str]:
    """Function that normalises names of a channel type: T3 means T7 on the scalp, but not among depth electrodes."""
    return electrode_key if kind == "eeg" else channel_key


def match_names(
    names: Sequence[str], known: Iterable[str], key: Callable[[str], str] = electrode_key
) -> dict[str, str]:
    """Match names with known names.

    Args:
        names: Names to look up, e.g. the channels of a recording.
        known: Names to choose from, e.g. those in a table.
        key: Normalises a name.

    Returns:
        The known name for each name that has one: the identical name, else the only one with the same key.
    """
    known = list(known)
    found = {name: name for name in set(names) & set(known)}
    others = [name for name in names if name not in found]
    asked = Counter(key(name) for name in others)
    offered: dict[str, list[str]] = defaultdict(list)
    for name in known:
        if name not in found:
            offered[key(name)].append(name)
    for name in others:
        candidates = offered[key(name)]
        if len(candidates) == 1 == asked[key(name)]:
            found[name] = candidates[0]
    return {name: found[name] for name in names if name in found}


def find_channels(wanted: Iterable[str], channels: Sequence[Channel]) -> dict[str, list[str]]:
    """Channels that each wanted name means: the one with the identical name, else all with the same key."""
    names = {channel.name for channel in channels}
    return {
        name: [name] if name in names else [c.name for c in channels if key_of(c.type)(c.name) == key_of(c.type)(name)]
        for name in wanted
    }


def are_inputs(names: Iterable[str]) -> bool | None:
    """Whether names are inputs of an amplifier or numbers of a net (True), or electrodes of the 10-20 system (False).

    None if they may be either, e.g. A1 and A2 alone.
    """
    keys = {electrode_key(name) for name in names}
    inputs = sum(bool(INPUT.fullmatch(key)) and not AMBIGUOUS.fullmatch(key) for key in keys)
    electrodes = sum(bool(TEN_TWENTY.fullmatch(key)) for key in keys)
    return inputs > electrodes if inputs or electrodes else None


def contradict(names: Iterable[str], others: Iterable[str]) -> bool:
    """Whether one list names inputs and the other electrodes of the 10-20 system, so that A1 means different ones."""
    first, second = are_inputs(names), are_inputs(others)
    return first is not None and second is not None and first != second


def is_input(name: str) -> bool:
    """Whether a name may be an input: ``B7``, but also ``A1`` or ``C3``."""
    return bool(INPUT.fullmatch(electrode_key(name)))
