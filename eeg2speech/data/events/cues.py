"""Sounds at times of a recording, as segments that end with the recording and with the sound."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Condition, Lost, RawRecording, Segment, Sound
from eeg2speech.data.events.events import Event
from eeg2speech.data.files.downloads import check_downloaded
from eeg2speech.data.files.sounds import SUFFIXES, sound_at, sound_seconds
from eeg2speech.data.timing.clock import Clock

UNPLACED = "the onset is counted from before a pause of unknown length"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cue:
    """A sound that belongs to a stretch of EEG.

    Attributes:
        onset: Seconds of EEG.
        duration: Seconds; None until the end of the sound.
        sound: File of the sound; None if there is none.
        offset: Start in the sound, in seconds.
        condition: What the subject did.
        label: Class of the stretch, or empty.
        text: What was said, or empty.
        where: Origin of the cue (file and line), for error messages.
        channel: Channel of the sound; ``mean`` averages all.
        origin: Onset of the event that ``onset`` is counted from, in seconds of EEG; None for the onset itself.
    """

    onset: float
    duration: float | None
    sound: Path | None
    offset: float
    condition: Condition
    label: str
    text: str
    where: str
    channel: ChannelChoice = "mean"
    origin: float | None = None


def silent(recording: str, seconds: float) -> Segment:
    """The whole of a recording without a sound, for training that needs none."""
    return Segment(recording, 0.0, seconds, "", 0.0, "rest")


def on_clock(read: RawRecording, events: Iterable[Event]) -> list[Event]:
    """Events with onsets on the clock of a recording, which runs on during interruptions.

    Triggers count samples, and so do all events of a recording that is not ``clocked``. Apply this before a delay is
    added to onsets: a delay passes on the clock.
    """
    clock = Clock.of(read)
    return [
        replace(event, onset=clock.at(event.onset), sampled=False) if event.sampled or not read.clocked else event
        for event in events
    ]


def delayed(cues: Iterable[Cue], seconds: float) -> list[Cue]:
    """Cues whose sound starts some seconds after their event."""
    return [
        replace(cue, onset=cue.onset + seconds, origin=cue.onset if cue.origin is None else cue.origin) for cue in cues
    ]


def add_segments(read: RawRecording, cues: Iterable[Cue], recording: str, root: Path) -> None:
    """Add the segments and sounds of cues to a recording, or a single segment without a sound.

    A cue is left out with a warning if a pause of unknown length lies between its event and its onset: the sample of
    its onset is unknown.

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
            "%s: interrupted %d times; filters do not cross interruptions, and sounds continue after one only where "
            "its length is known", recording, len(read.breaks) - within,
        )  # fmt: skip


def pair(
    cues: Iterable[Cue], recording: str, seconds: float, rate: float, root: Path
) -> tuple[list[Segment], dict[str, Sound]]:
    """Turn cues into segments that end with the recording and with their sound, and log how much was cut.

    Args:
        cues: Cues of one recording.
        recording: Id of the recording.
        seconds: Length of the recording.
        rate: Samples per second of the recording.
        root: Folder of the dataset.

    Returns:
        Segments in the order of the cues, and sound by stimulus.

    Raises:
        DataError: A sound is missing or damaged, or a cue lies outside the recording or its sound.
    """
    segments: list[Segment] = []
    stimuli: dict[str, Sound] = {}
    cut: list[float] = []
    for cue in cues:
        if not (-0.5 / rate <= cue.onset <= seconds - 1 / rate):
            raise DataError(
                f"{cue.where}: onset {cue.onset:g} s does not lie in the recording of {seconds:g} s; correct it, or "
                "the onset that is added to it"
            )
        onset, stimulus, rest = max(cue.onset, 0.0), "", math.inf
        if cue.sound is not None:
            rest = _rest(cue.sound, cue)
            stimulus = stimulus_id(root, cue.sound) + ("" if cue.channel == "mean" else f"_channel-{cue.channel}")
            stimuli[stimulus] = sound_at(cue.sound, cue.channel)
        elif cue.duration is None:
            raise DataError(f"{cue.where}: neither a duration nor a sound that would end it; give one of them")
        wanted = rest if cue.duration is None else cue.duration
        duration = min(wanted, rest, seconds - onset)
        if wanted - duration > 1 / rate:
            cut.append(wanted - duration)
        segments.append(Segment(recording, onset, duration, stimulus, cue.offset, cue.condition, cue.label, cue.text))
    if cut:
        logger.info(
            "%s: %d of %d segments end with the recording or their sound, up to %.3g s earlier than they should",
            recording, len(cut), len(segments), max(cut),
        )  # fmt: skip
    return segments, stimuli


def _rest(sound: Path, cue: Cue) -> float:
    """Seconds of a sound after a cue's offset."""
    check_downloaded(sound)
    if not sound.is_file():
        raise DataError(f"{cue.where}: sound {sound} is missing; download it, or leave this recording out")
    length = sound_seconds(sound)
    if not 0 <= cue.offset < length:
        raise DataError(f"{cue.where}: offset {cue.offset:g} s does not lie in {sound} of {length:g} s; correct it")
    return length - cue.offset


def stimulus_id(root: Path, sound: Path) -> str:
    """Id of a sound: its path below ``stimuli/``, or else below ``root``, with ``_`` for ``/``.

    Where two sounds would get the same id, part of a hash of the path is appended.
    """
    sound = Path(os.path.normpath(sound))
    published = sound.is_relative_to(root / "stimuli")
    folder, base = (root / "stimuli", root / "stimuli") if published else (sound.parent, root)
    path = sound.relative_to(base).as_posix() if sound.is_relative_to(base) else sound.name
    unique = _ids(folder)[_plain_id(sound.relative_to(folder).as_posix())] <= 1
    return _plain_id(path) + ("" if unique else "_" + hashlib.sha256(path.encode()).hexdigest()[:6])


def _plain_id(path: str) -> str:
    path = unicodedata.normalize("NFC", path)  # macOS writes accents apart from their letters
    endings = sorted((suffix for suffix in SUFFIXES if path.lower().endswith(suffix)), key=len)
    plain = re.sub(r"[/\\:\x00-\x1f]", "_", path[: len(path) - len(endings[-1])] if endings else path)
    return f"_{plain}" if plain.startswith(".") or not plain else plain


@lru_cache(maxsize=64)
def _ids(folder: Path) -> Counter[str]:
    """Number of sounds below a folder for each id."""
    files = (file for file in folder.rglob("*") if file.name.lower().endswith(SUFFIXES))
    return Counter(_plain_id(file.relative_to(folder).as_posix()) for file in files)
