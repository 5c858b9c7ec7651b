"""Sounds of a recording that may have been interrupted: on its clock, which went on meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from eeg2speech.core.types import Lost, RawRecording
from eeg2speech.data.events.cues import Cue, pair, silent
from eeg2speech.data.events.events import Event
from eeg2speech.data.timing import Clock

UNPLACED = "the onset is counted from before a pause of unknown length"

logger = logging.getLogger(__name__)


def on_clock(read: RawRecording, events: Iterable[Event]) -> list[Event]:
    """Events on the clock of a recording: triggers count samples, and so do all events of one that is not ``clocked``.

    A delay that is added to an onset passes on the clock, so that this comes first.
    """
    clock = Clock.of(read)
    return [
        replace(event, onset=clock.at(event.onset), sampled=False) if event.sampled or not read.clocked else event
        for event in events
    ]


def delayed(cues: Iterable[Cue], seconds: float) -> list[Cue]:
    """Cues whose sound starts some seconds after the event that they were found by."""
    return [
        replace(cue, onset=cue.onset + seconds, origin=cue.onset if cue.origin is None else cue.origin) for cue in cues
    ]


def add_segments(read: RawRecording, cues: Iterable[Cue], recording: str, root: Path) -> None:
    """Give a recording the segments and sounds of its cues, or a single segment without a sound.

    Cues whose delay passes over a pause of unknown length are left out with a warning: where they belong is not known.

    Args:
        read: The recording.
        cues: What belongs together; their onsets are on the recording's clock.
        recording: Its id.
        root: Folder of the dataset.

    Raises:
        DataError: See ``pair``.
    """
    clock, cues = Clock.of(read), list(cues)
    placed = [cue for cue in cues if cue.origin is None or clock.follows(cue.origin, cue.onset)]
    if lost := len(cues) - len(placed):
        logger.warning(
            "%s: %d segments begin behind a pause of unknown length, counted from before it; left out", recording, lost
        )
        read.lost = [*read.lost, Lost("segment", UNPLACED, f"{lost} segments")]
    segments, read.stimuli = pair(placed, recording, clock.seconds, read.rate, root)
    read.segments = segments or [silent(recording, clock.seconds)]
    if read.breaks:
        within = sum(first in read.breaks and stop in read.breaks for first, stop in read.gaps)
        logger.warning(
            "%s: interrupted %d times; nothing is filtered across, and sounds go on behind it only where it is known "
            "how much is missing", recording, len(read.breaks) - within,
        )  # fmt: skip
