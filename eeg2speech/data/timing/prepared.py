"""What preprocessing makes of a recording, and what it leaves out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.types import Channel, Segment
from eeg2speech.data.timing.stretches import Stretch

PAUSE = "behind a pause of unknown length, or too short beside a pause"
UNRECORDED = "played while nothing was recorded"
DROPOUT = "dropouts of all channels"
FILLED_IN = "short dropouts of all channels, filled with a line"
AMPLITUDE = "amplitude"
"""Reasons for which something of a recording is lost."""


class Prepared(NamedTuple):
    """A prepared recording.

    Attributes:
        eeg: Microvolts (femtoteslas, femtoteslas per centimetre), (channels, samples); zero where nothing was recorded.
        channels: One per row, ``bad`` where interpolated or zero.
        segments: In seconds of the signal; none lies across a break.
        pieces: Stretches of samples that were recorded without an interruption.
        lost: What of the recording is not in ``segments`` or not as it was measured: seconds by reason.
    """

    eeg: NDArray[np.float32]
    channels: list[Channel]
    segments: list[Segment]
    pieces: list[Stretch]
    lost: dict[str, float]
