"""Sounds of a recording that may have been interrupted: on its clock, which went on meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from eeg2speech.data.clock import Clock
from eeg2speech.data.readers.cues import Cue, pair, silent
from eeg2speech.data.readers.events import Event
from eeg2speech.types import RawRecording

logger = logging.getLogger(__name__)


def on_clock(read: RawRecording, events: Iterable[Event]) -> list[Event]:
    """Events on the clock of a recording, where it has one: triggers are counted in samples."""
    clock = Clock.of(read)
    return [
        replace(event, onset=clock.at(event.onset), sampled=False) if read.clocked and event.sampled else event
        for event in events
    ]


def add_segments(read: RawRecording, cues: Iterable[Cue], recording: str, root: Path) -> None:
    """Give a recording the segments and sounds of its cues, or a single segment without a sound.

    Args:
        read: The recording.
        cues: What belongs together; their onsets are on the recording's clock if it is ``clocked``, else they count its
            samples.
        recording: Its id.
        root: Folder of the dataset.

    Raises:
        DataError: See ``pair``.
    """
    clock = Clock.of(read)
    if not read.clocked:
        cues = [replace(cue, onset=clock.at(cue.onset)) for cue in cues]
    segments, read.stimuli = pair(cues, recording, clock.seconds, read.rate, root)
    read.segments = segments or [silent(recording, clock.seconds)]
    if read.breaks:
        logger.warning(
            "%s: interrupted %d times; nothing is filtered across, and sounds go on behind it only where it is known "
            "how much is missing", recording, len(read.breaks),
        )  # fmt: skip
