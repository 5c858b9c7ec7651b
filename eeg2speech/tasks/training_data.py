from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def training_data_info(data: Any, subjects: Sequence[str] | None = None) -> dict[str, Any]:
    """What a checkpoint keeps of the data, so that its model can meet a new recording as it met those it learned from.

    Args:
        data: A data module; whatever this one does not know of itself is left out.
        subjects: Labels in the order of the model, in place of the data module's.

    Returns:
        Plain values: name of the dataset, its source, licence and citation, and whether it is simulated, ``window``
        and ``lag`` in seconds, ``clamp`` in robust standard deviations, settings of the ``preprocessing``, labels of
        ``subjects``, ``montages`` as names and types of channels in the order of the files and their positions in
        metres, null where unknown, and ``learned_from``: what decides which segments were trained on.
    """
    kept: dict[str, Any] = {
        name: float(getattr(data, name)) for name in ("window", "lag", "clamp") if hasattr(data, name)
    }
    if subjects is not None or hasattr(data, "subject_names"):
        kept["subjects"] = [str(name) for name in (data.subject_names if subjects is None else subjects)]
    store = getattr(data, "store", None)
    if store is not None:
        described = store.description
        kept |= {"name": str(described.name), "simulated": bool(described.simulated)}
        kept |= {about: str(getattr(described, about, "")) for about in ("source", "license", "citation")}
        prefix = "preprocessing."
        kept["preprocessing"] = {
            key.removeprefix(prefix): list(value) if isinstance(value, tuple) else value
            for key, value in described.settings.items()
            if key.startswith(prefix)
        }
        kept["montages"] = _montages(store)
        if hasattr(data, "training_data"):
            kept["learned_from"] = data.training_data()
    return kept


def _montages(store: Any) -> list[dict[str, Any]]:
    """Each list of channels once, where the first recording that has it places them."""
    montages: dict[tuple[tuple[str, str], ...], list[list[float] | None]] = {}
    for recording in store.recordings:
        channels = store.channels(recording.recording)
        places = [[float(c.x), float(c.y), float(c.z)] for c in channels]
        known = [place if all(map(math.isfinite, place)) else None for place in places]
        montages.setdefault(tuple((channel.name, channel.type) for channel in channels), known)
    return [
        {"names": [name for name, _ in listed], "types": [kind for _, kind in listed], "positions": places}
        for listed, places in montages.items()
    ]
