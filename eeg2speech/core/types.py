from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # `eeg2speech prepare` does without torch
    from torch import Tensor

Condition = Literal["listening", "overt", "imagined", "rest"]
SplitName = Literal["train", "val", "unseen_stimulus", "unseen_subject", "unseen_both"]
"""A list of windows: trained on, validated on, or one of the three test lists."""
DECODABLE = ("eeg", "seeg", "ecog", "mag", "grad")
"""Types of channels that hold activity of the brain."""
TEST_SPLITS: tuple[SplitName, ...] = ("unseen_stimulus", "unseen_subject", "unseen_both")


@dataclass(frozen=True)
class Channel:
    """One electrode of a recording.

    Attributes:
        name: As in the source, e.g. ``FC5``.
        type: ``eeg``; ``seeg`` or ``ecog`` inside the head; ``mag`` or ``grad`` of a MEG. Others are not decoded from.
        x: Position in metres, head coordinates (x right, y front, z up); NaN where unknown.
        y: See ``x``.
        z: See ``x``.
        status: ``good``, or ``bad`` for a channel that was interpolated or could not be used.
        status_description: Why it is bad, else empty.
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
    """A stretch of a recording that belongs to a sound.

    Attributes:
        recording: Recording it lies in.
        onset: Start in seconds of EEG.
        duration: Length in seconds.
        stimulus: Id of the sound; the same sound has the same id for every subject.
        offset: Where in the sound the segment starts, in seconds.
        condition: What the subject did: ``listening``, ``overt``, ``imagined`` or ``rest``.
        label: Class of the segment where the dataset has one (a phoneme, a word), else empty.
        text: What was said where known, else empty.
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
        subject: Who was recorded.
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
    """EEG that stays in its file until it is asked for; an array is one, too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, samples)."""

    def __getitem__(self, part: tuple[slice | NDArray[np.intp], slice], /) -> NDArray[np.floating]:
        """Channels, as a slice or by number, and a slice of samples without steps."""


@dataclass(frozen=True)
class Lost:
    """Something that the raw data promise and that is not in the segments of a recording.

    Attributes:
        what: ``sound``: the recording has none; ``segment``: one that could not be made.
        reason: In words, the same for all of one kind.
        name: Of the segment, else empty.
        seconds: How much time; NaN where that is not what counts.
        missing: True where a file is missing, so that the dataset is to be completed.
    """

    what: Literal["sound", "segment"]
    reason: str
    name: str = ""
    seconds: float = float("nan")
    missing: bool = False


Sound: TypeAlias = Path | Callable[[], tuple[NDArray[np.float32], float]]
"""Where a sound is read from: a file, or a function that returns the waveform in [-1, 1], (samples,), and its rate."""
Envelope: TypeAlias = Callable[[], tuple[NDArray[np.floating], float]]
"""Reads an envelope, (samples,), and its rate."""


@dataclass
class RawRecording:
    """What a reader has read of one recording, before preprocessing.

    Attributes:
        eeg: Signal in volts (teslas and teslas per metre of a MEG), (channels, samples).
        rate: Samples per second.
        channels: One per row of ``eeg``.
        segments: In seconds of this recording; those that lie across a break are cut there. Where time passed
            unrecorded (``unrecorded``), it counts.
        breaks: First sample of each later contiguous block: filters and resampling never cross one.
        stimuli: Sound by stimulus.
        envelopes: Envelope by stimulus, for datasets that publish it in place of the sound.
        lost: What could not be made of the raw data.
        rules: How many segments each rule made.
        unrecorded: Seconds that passed at a break without a sample, by its sample; where it is not there, nobody knows.
        gaps: Stretches of samples that hold no signal: the first, and the one after the last. Both are breaks.
        clocked: Onsets of its events count ``unrecorded``; else they count samples.
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
    """What a reader yields: a recording that has not been read yet, so that finished ones can be skipped.

    Attributes:
        recording: Id, unique in the dataset.
        subject: Who was recorded.
        session: Session label or empty.
        run: Run label or empty.
        inputs: Every file it is read from, its own first, whether downloaded or not: once one of them changes, a
            store's recording is out of date.
        load: Reads it.
    """

    recording: str
    subject: str
    session: str
    run: str
    inputs: tuple[Path, ...]
    load: Callable[[], RawRecording]


@dataclass(frozen=True)
class DataInfo:
    """Facts about the data of a run that a task needs.

    Attributes:
        name: Name of the dataset.
        source: Where the raw data can be obtained.
        license: Licence of the raw data.
        citation: What to cite.
        simulated: Whether the EEG was simulated.
        subjects: Subject labels, in the order of a batch's ``subject``.
        montages: Every list of channels that occurs, by names and types, with the positions of its first recording.
        rate: EEG samples per second.
        window: Length of a window in seconds.
        lag: Delay of the EEG after its sound, in seconds.
        clamp: Limit of scaled EEG, in robust standard deviations.
        batch_size: Windows per step and device.
        preprocessing: Settings of the preprocessing, by name.
        test_splits: Names of the test splits, in the order of the test data loaders.
        training_data: What determines the segments that are trained on, in plain values.
        allow_seen: Whether a test on training material is allowed, and reported, instead of refused.
    """

    name: str
    source: str
    license: str
    citation: str
    simulated: bool
    subjects: tuple[str, ...]
    montages: tuple[tuple[Channel, ...], ...]
    rate: float
    window: float
    lag: float
    clamp: float
    batch_size: int
    preprocessing: Mapping[str, Any]
    test_splits: tuple[SplitName, ...]
    training_data: Mapping[str, Any]
    allow_seen: bool

    @property
    def channels(self) -> int:
        """Number of electrodes of the largest montage."""
        return max(len(montage) for montage in self.montages)


class Batch(TypedDict):
    """What the data module hands to every stage. B windows, C electrodes, T EEG samples, S audio samples.

    Attributes:
        eeg: Robustly scaled EEG clamped to +-20, (B, C, T); zero where ``channel_mask`` is False.
        positions: Electrode positions in metres, (B, C, 3); zero where unknown or masked.
        channel_mask: True where a channel exists, (B, C).
        audio: Waveform in [-1, 1] at 16 kHz, (B, S); S is 0 when the stage asks for no audio.
        subject: Index into the data module's ``subjects``, (B,).
        stimulus: Index into the data module's ``stimuli``, -1 for none, (B,).
        label: Index into the data module's ``labels``, -1 for none, (B,).
        recording: Index into the data module's ``recordings``, (B,).
        start: Start of the window in its recording, in seconds, (B,).
        sound_start: Start of its sound in the stimulus, in seconds, (B,).
        index: Index of the window in its dataset, (B,).
        seed: Seed of the window's random numbers in this epoch, (B,).
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
