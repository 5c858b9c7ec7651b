"""Types that all folders share, with their units and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # `eeg2speech prepare` does not import torch
    from torch import Tensor

Condition = Literal["listening", "overt", "imagined", "rest"]
SplitName = Literal["train", "val", "unseen_stimulus", "unseen_subject", "unseen_both"]
"""A split of the windows: for training, for validation, or one of the three test splits."""
DECODABLE = ("eeg", "seeg", "ecog", "mag", "grad")
"""Types of channels with brain activity."""
TEST_SPLITS: tuple[SplitName, ...] = ("unseen_stimulus", "unseen_subject", "unseen_both")


@dataclass(frozen=True)
class Channel:
    """One electrode of a recording.

    Attributes:
        name: As in the source, e.g. ``FC5``.
        type: ``eeg``; ``seeg`` or ``ecog`` inside the head; ``mag`` or ``grad`` of a MEG. Models use no others.
        x: Position in metres, head coordinates (x right, y front, z up); NaN where unknown.
        y: See ``x``.
        z: See ``x``.
        status: ``good``, or ``bad`` for a channel that was interpolated or could not be used.
        status_description: Reason if it is bad, else empty.
    """

    name: str
    type: str = "eeg"
    x: float = float("nan")
    y: float = float("nan")
    z: float = float("nan")
    status: Literal["good", "bad"] = "good"
    status_description: str = ""


@dataclass(frozen=True)
class Segment:
    """An interval of a recording that belongs to a sound.

    Attributes:
        recording: Id of the recording.
        onset: Start in seconds of EEG.
        duration: Length in seconds.
        stimulus: Id of the sound; the same sound has the same id for every subject.
        offset: Start of the segment in the sound, in seconds.
        condition: Task of the subject: ``listening``, ``overt``, ``imagined`` or ``rest``.
        label: Class of the segment if the dataset has one (a phoneme, a word), else empty.
        text: The spoken words if known, else empty.
    """

    recording: str
    onset: float
    duration: float
    stimulus: str
    offset: float
    condition: Condition
    label: str = ""
    text: str = ""


@dataclass(frozen=True)
class Recording:
    """One row of a store's ``recordings.tsv``: a continuous run of prepared EEG.

    Attributes:
        recording: Id, also the stem of its file.
        subject: Label of the subject.
        session: Session label or empty.
        run: Run label or empty.
        channels: Number of electrodes.
        samples: Length in samples at the store's rate.
        file: Path of the signal inside the store.
    """

    recording: str
    subject: str
    session: str
    run: str
    channels: int
    samples: int
    file: str


class Signal(Protocol):
    """EEG that is read from its file when it is indexed; an array is also a ``Signal``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, samples)."""

    def __getitem__(self, part: tuple[slice | NDArray[np.intp], slice], /) -> NDArray[np.floating]:
        """Read channels, given as a slice or by number, and a slice of samples without steps."""


@dataclass(frozen=True)
class Lost:
    """A sound or segment that the raw data announce and that the prepared recording lacks.

    Attributes:
        what: ``sound``: the recording has no sound; ``segment``: a segment could not be made.
        reason: Reason in words, the same for all of one kind.
        name: Name of the segment, else empty.
        seconds: Duration in seconds; NaN where it does not matter.
        missing: True if a file is missing, so that the dataset has to be completed.
    """

    what: Literal["sound", "segment"]
    reason: str
    name: str = ""
    seconds: float = float("nan")
    missing: bool = False


Sound: TypeAlias = Path | Callable[[], tuple[NDArray[np.float32], float]]
"""A sound: a file, or a function that returns the waveform in [-1, 1], (samples,), and its rate."""
Envelope: TypeAlias = Callable[[], tuple[NDArray[np.floating], float]]
"""An envelope: a function that returns it, (samples,), and its rate."""


@dataclass
class RawRecording:
    """One recording as a reader returns it, before preprocessing.

    Attributes:
        eeg: Signal in volts (teslas and teslas per metre of a MEG), (channels, samples).
        rate: Samples per second.
        channels: One per row of ``eeg``.
        segments: Segments in seconds of this recording, unrecorded time (``unrecorded``) included. A segment across a
            break is cut there.
        breaks: First sample of each contiguous block after the first; filters and resampling do not cross a break.
        stimuli: Sounds by stimulus.
        envelopes: Envelopes by stimulus, for datasets that publish them instead of the sounds.
        lost: Sounds and segments that are missing.
        rules: Number of segments that each rule made.
        unrecorded: Seconds without samples at a break, by the break's sample; unknown for breaks that are not in it.
        gaps: Intervals of samples without signal: the first sample, and the one after the last. Both are breaks.
        clocked: Onsets of its events include ``unrecorded``; else they count samples.
    """

    eeg: Signal
    rate: float
    channels: list[Channel]
    segments: list[Segment]
    breaks: list[int] = field(default_factory=list)
    stimuli: Mapping[str, Sound] = field(default_factory=dict)
    envelopes: Mapping[str, Envelope] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    rules: Mapping[str, int] = field(default_factory=dict)
    unrecorded: Mapping[int, float] = field(default_factory=dict)
    gaps: Sequence[tuple[int, int]] = ()
    clocked: bool = False


@dataclass(frozen=True)
class Source:
    """A recording that a reader has found and not read yet, so that finished ones can be skipped.

    Attributes:
        recording: Id, unique in the dataset.
        subject: Label of the subject.
        session: Session label or empty.
        run: Run label or empty.
        inputs: All files that it is read from, its own first, whether downloaded or not; if one of them changes, the
            recording in a store is out of date.
        load: Reads the recording.
    """

    recording: str
    subject: str
    session: str
    run: str
    inputs: tuple[Path, ...]
    load: Callable[[], RawRecording]


class Batch(TypedDict):
    """Windows from the data module, for all stages. B windows, C electrodes, T EEG samples, S audio samples.

    Attributes:
        eeg: Robustly scaled EEG clamped to +-20, (B, C, T); zero where ``channel_mask`` is False.
        positions: Electrode positions in metres, (B, C, 3); zero where unknown or masked.
        channel_mask: True where a channel exists, (B, C).
        audio: Waveform in [-1, 1] at 16 kHz, (B, S); S is 0 with ``data.audio`` false.
        subject: Index into the data module's ``subjects``, (B,).
        stimulus: Index into the data module's ``stimuli``, -1 for none, (B,).
        label: Index into the data module's ``labels``, -1 for none, (B,).
        recording: Index into the data module's ``recordings``, (B,).
        start: Start of the window in its recording, in seconds, (B,).
        sound_start: Start of its sound in the stimulus, in seconds, (B,).
        index: Index of the window in its dataset, (B,).
        seed: Seed of the random numbers of the window in this epoch, (B,).
    """

    eeg: Tensor
    positions: Tensor
    channel_mask: Tensor
    audio: Tensor
    subject: Tensor
    stimulus: Tensor
    label: Tensor
    recording: Tensor
    start: Tensor
    sound_start: Tensor
    index: Tensor
    seed: Tensor
