"""Clips: the segments, whole recordings or single windows of a store that speech is generated for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eeg2speech.audio.stitching import cover
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.loading.windows import Window
from eeg2speech.data.store.store import Store, check_id

What = Literal["segments", "recordings", "windows"]
UNUSED = "unused"
"""Split of segments that are in no split of the data module."""


@dataclass(frozen=True)
class Clip:
    """A stretch of EEG that one sound file is generated for.

    Attributes:
        file: Name of the sound file.
        recording: Index of the recording in the store.
        segment: Segment that contains it; for a whole recording a segment without a stimulus.
        first: First EEG sample of its sound in the recording.
        stop: EEG sample after the end of its sound.
        starts: First EEG samples of the windows that cover it.
        split: Split of its segment, several separated by commas; empty if not known.
    """

    file: str
    recording: int
    segment: Segment
    first: int
    stop: int
    starts: tuple[int, ...]
    split: str = ""

    @property
    def windows(self) -> list[Window]:
        """Its windows, in order."""
        return [Window(self.recording, self.segment, start, start, start) for start in self.starts]


def cut_clips(
    store: Store, what: What, samples: int, overlap: int, splits: Mapping[Segment, str] | None = None
) -> tuple[list[Clip], int]:
    """Divide a store into clips, in its own order.

    Args:
        store: The prepared data.
        what: ``segments``, ``recordings`` (whole, with the parts between segments) or ``windows`` (of segments, end to
            end).
        samples: Length of a window in EEG samples.
        overlap: Of the windows of a clip, in EEG samples.
        splits: Split of each segment; None if not known.

    Returns:
        The clips, and the number of segments or recordings that are left out because they are shorter than a window.

    Raises:
        DataError: A recording or a stimulus has an id that cannot be a file name.
    """
    stretches = _recordings(store, splits) if what == "recordings" else _segments(store, splits)
    clips, short = [], 0
    names: Counter[str] = Counter()
    for clip in stretches:
        pieces = store.pieces(store.recordings[clip.recording])
        inside = [(max(first, clip.first), min(stop, clip.stop)) for first, stop in pieces]
        starts = tuple(first + start for first, stop in inside for start in cover(stop - first, samples, overlap))
        short += not starts
        cut = [replace(clip, starts=starts)] if starts else []
        if what == "windows":
            ats = range(clip.first, clip.stop - samples + 1, samples)
            cut = [replace(clip, first=at, stop=at + samples, starts=(at,)) for at in ats]
        for one in cut:
            name = clip_name(store, one, whole=what == "recordings")
            names[name] += 1
            if names[name] > 1:  # segments that start together on one sound
                name += f"_{names[name]}"
            clips.append(replace(one, file=f"{name}.wav"))
    return clips, short


def window_clip(store: Store, window: Window, samples: int, split: str) -> Clip:
    """The clip of a single window of ``samples`` EEG samples."""
    clip = Clip("", window.recording, window.segment, window.start, window.start + samples, (window.start,), split)
    return replace(clip, file=f"{clip_name(store, clip)}.wav")


def clip_name(store: Store, clip: Clip, whole: bool = False) -> str:
    """Stem of a clip's file: the recording and, for a clip that is not the ``whole`` recording, onset and stimulus.

    Raises:
        DataError: An id cannot be a file name.
    """
    name = check_id(store.recordings[clip.recording].recording, "recording")
    if whole:
        return name
    stimulus = clip.segment.stimulus
    suffix = f"_{check_id(stimulus, 'stimulus')}" if stimulus else ""
    return f"{name}_{clip.first / store.rate:08.2f}s{suffix}"


def choose_clips(
    clips: Sequence[Clip],
    store: Store,
    subjects: Collection[str] | None = None,
    recordings: Collection[str] | None = None,
    conditions: Collection[str] | None = None,
    splits: Collection[str] | None = None,
    limit: int = 0,
) -> list[Clip]:
    """Select clips, in order; None selects all.

    Args:
        clips: To choose from.
        store: That they were cut from.
        subjects: Labels.
        recordings: Ids.
        conditions: Of segments.
        splits: Names of splits.
        limit: Largest number of clips, chosen at random but always the same; a larger limit adds clips to those of a
            smaller one. 0 for all.

    Raises:
        ConfigError: A name does not occur, or nothing is left.
    """
    rows = store.recordings
    options: dict[str, tuple[Collection[str] | None, list[set[str]]]] = {
        "subjects": (subjects, [{rows[clip.recording].subject} for clip in clips]),
        "recordings": (recordings, [{rows[clip.recording].recording} for clip in clips]),
        "conditions": (conditions, [{clip.segment.condition} for clip in clips]),
        "splits": (splits, [set(clip.split.split(",")) for clip in clips]),
    }
    kept = list(range(len(clips)))
    for option, (wanted, found) in options.items():
        if wanted is None:
            continue
        present = set().union(*found)
        if missing := sorted(set(wanted) - present):
            raise ConfigError(
                f"--{option} {missing[0]}: {store.root} has {', '.join(sorted(present - {''})) or 'none that is known'}"
            )
        kept = [index for index in kept if found[index] & set(wanted)]
    if not kept:
        raise ConfigError(f"{store.root}: nothing is left to generate; widen --subjects, --recordings, --splits ...")
    if limit:
        kept = sorted(sorted(kept, key=lambda index: _hash(clips[index].file))[:limit])
    return [clips[index] for index in kept]


def _segments(store: Store, splits: Mapping[Segment, str] | None) -> list[Clip]:
    number = {recording.recording: index for index, recording in enumerate(store.recordings)}
    clips = []
    for segment in store.segments:
        index = number[segment.recording]
        first = max(0, round(segment.onset * store.rate))
        stop = min(round((segment.onset + segment.duration) * store.rate), store.recordings[index].samples)
        split = "" if splits is None else splits.get(segment, UNUSED)
        clips.append(Clip("", index, segment, first, stop, (), split))
    return clips


def _recordings(store: Store, splits: Mapping[Segment, str] | None) -> list[Clip]:
    def split_of(recording: Recording) -> str:
        own = [segment for segment in store.segments if segment.recording == recording.recording]
        return "" if splits is None else ",".join(sorted({splits.get(segment, UNUSED) for segment in own}))

    return [
        Clip("", index, whole_recording(store, recording), 0, recording.samples, (), split_of(recording))
        for index, recording in enumerate(store.recordings)
    ]


def whole_recording(store: Store, recording: Recording) -> Segment:
    """A whole recording as a segment without a stimulus."""
    return Segment(recording.recording, 0.0, recording.samples / store.rate, "", 0.0, "rest")


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
