"""Robust scaling of each channel, fitted on training segments only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Store

FLAT = 1e-3
"""Spread in microvolts up to which a channel is flat."""
MOST = 60_000
"""Largest number of samples per channel that are used: ten minutes at 100 Hz, evenly spaced."""


@dataclass
class Scaling:
    """Centre and spread of the channels of one recording, in microvolts.

    Attributes:
        centre: Median, (C,).
        spread: 1.4826 times the median absolute deviation (the standard deviation of a Gaussian), (C,).
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """False for flat channels, (C,)."""
        return self.spread > FLAT


def fit_scalings(store: Store, fit_on: Mapping[str, Sequence[Segment]]) -> dict[str, Scaling]:
    """Fit the scaling of every recording on its own segments; a recording without any gets medians over the others.

    Args:
        store: The prepared data.
        fit_on: Segments that may be used, by recording; at least one recording has some.

    Returns:
        A scaling for every recording of the store. A recording without segments (a held-out subject) gets, for each
        channel name, the median over the fitted recordings in which the channel is not flat, so that none of its own
        samples is used; for a name that none of them has, the median over all channels.

    Raises:
        DataError: Every channel is flat.
    """
    fitted: dict[str, Scaling] = {}
    by_name: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for recording in store.recordings:
        segments = fit_on.get(recording.recording)
        if not segments:
            continue
        eeg = store.eeg(recording)
        spans = [(round(s.onset * store.rate), round((s.onset + s.duration) * store.rate)) for s in segments]
        step = max(1, sum(stop - start for start, stop in spans) // MOST)
        samples = np.concatenate([eeg[:, start:stop:step] for start, stop in spans], axis=1)
        centre = np.median(samples, axis=1)
        spread = 1.4826 * np.median(np.abs(samples - centre[:, None]), axis=1)
        fitted[recording.recording] = Scaling(centre.astype(np.float32), spread.astype(np.float32))
        for channel, c, s in zip(store.channels(recording.recording), centre, spread, strict=True):
            pairs = by_name[channel.name.lower()]  # stays empty if the channel is flat in all of them
            if s > FLAT:
                pairs.append((float(c), float(s)))
    medians = {name: np.median(pairs, axis=0) if pairs else np.zeros(2) for name, pairs in by_name.items()}
    alive = [median for name, median in medians.items() if by_name[name]]
    if not alive:
        raise DataError(f"{store.root}: every channel is flat where it is trained on; prepare the store again")
    overall = np.median(alive, axis=0)
    for recording in store.recordings:
        if recording.recording not in fitted:
            names = [channel.name.lower() for channel in store.channels(recording.recording)]
            borrowed = np.array([medians.get(name, overall) for name in names], np.float32)
            fitted[recording.recording] = Scaling(borrowed[:, 0], borrowed[:, 1])
    return fitted
