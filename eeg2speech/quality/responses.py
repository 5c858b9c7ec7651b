"""What speech evokes in the EEG of a store, whatever a model makes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.progress import Track, silently
from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Store
from eeg2speech.quality.coupling import CONDITIONS, RESPONSE
from eeg2speech.quality.decoding import response
from eeg2speech.quality.envelope import stimulus_envelope
from eeg2speech.quality.timeline import RATE, choose, fold_pieces, lay_out

SUBJECTS = 20
"""Of more subjects than these, only the first are looked at."""


@dataclass(frozen=True)
class Response:
    """Forward temporal response function of the envelope, mean over subjects with the same electrodes.

    Attributes:
        lags: Seconds after the sound, (L,).
        weights: Standard deviations of EEG per standard deviation of the envelope, (C, L).
        positions: Of the electrodes, metres in head coordinates, NaN where unknown, (C, 3).
        subjects: How many it is the mean of.
        minutes: Of sound, over all of them.
    """

    lags: NDArray[np.float64]
    weights: NDArray[np.float64]
    positions: NDArray[np.float64]
    subjects: int
    minutes: float


def mean_response(store: Store, minutes: float = 5.0, track: Track = silently) -> Response | None:
    """Estimate the response (Crosse et al. 2016) from what was heard, or spoken, while the EEG ran.

    Args:
        store: Prepared store.
        minutes: Most minutes of sound that are used of a subject.
        track: Shows how many subjects are done.

    Returns:
        That of the set of electrodes that most subjects have, or None where there is no sound beside EEG.

    Raises:
        DataError: A file of the store is damaged.
    """
    envelopes = cache(lambda stimulus: stimulus_envelope(store, stimulus))
    subject_of = {recording.recording: recording.subject for recording in store.recordings}
    heard: dict[str, list[Segment]] = defaultdict(list)
    for segment in store.segments:
        if segment.condition in CONDITIONS and segment.stimulus and envelopes(segment.stimulus) is not None:
            heard[subject_of[segment.recording]].append(segment)
    steps = range(round(RESPONSE[0] * RATE), round(RESPONSE[1] * RATE) + 1)
    groups: dict[tuple[str, ...], list[tuple[str, float, NDArray[np.float64]]]] = defaultdict(list)
    for subject in track(list(heard)[:SUBJECTS]):
        line = lay_out(store, fold_pieces(choose(heard[subject], 60 * minutes)), envelopes)
        if line is not None:
            order = sorted(range(len(line.names)), key=lambda row: line.names[row])
            names = tuple(line.names[row] for row in order)
            groups[names].append((heard[subject][0].recording, line.seconds, response(line, steps)[order]))
    if not groups:
        return None
    names, group = max(groups.items(), key=lambda item: len(item[1]))
    return Response(
        np.array(steps) / RATE,
        np.mean([weights for _, _, weights in group], axis=0),
        electrode_places(store, group[0][0], names),
        len(group),
        sum(seconds for _, seconds, _ in group) / 60,
    )


def electrode_places(store: Store, recording: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Positions of a recording's channels in metres, NaN where unknown, (C, 3)."""
    known = {channel.name: (channel.x, channel.y, channel.z) for channel in store.channels(recording)}
    return np.array([known.get(name, (np.nan,) * 3) for name in names])
