from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.types import Channel, Recording, Segment
from eeg2speech.data.store.store import Description, Store, StoredChannel
from eeg2speech.data.timing import Stretch


class MemoryStore(Store):
    """A store of a single recording that is in memory, so that it is read like one that was trained on.

    Args:
        name: Of the recording.
        eeg: Prepared signal in microvolts, (channels, samples).
        rate: Samples per second.
        channels: One per row of ``eeg``.
        segments: Of the recording; their sounds cannot be read.
        pieces: Samples that were recorded without an interruption.
    """

    def __init__(
        self,
        name: str,
        eeg: NDArray[np.float32],
        rate: float,
        channels: Sequence[Channel],
        segments: Sequence[Segment],
        pieces: Sequence[Stretch],
    ) -> None:
        self.root = Path(name)
        self.description = Description(name, "", "", "", simulated=False, rate=rate)
        C, T = eeg.shape
        self.recordings = [Recording(name, "", "", "", C, T, name)]
        self.segments = list(segments)
        self._maps = {name: eeg}
        self._blocks = {name: list(pieces)}
        self._channels = {name: [StoredChannel(**asdict(channel), recording=name) for channel in channels]}
