"""Windows of EEG and audio: cut from segments, augmented, and read from the memory map batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from eeg2speech.audio import RATE, Waveform
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Batch, Recording, Segment
from eeg2speech.data.electrodes.montage import order_by_position
from eeg2speech.data.loading.sampler import Key, StimulusBlocks
from eeg2speech.data.loading.scaling import Scaling
from eeg2speech.data.store.store import Store

SAME = 0.05
"""Windows whose sounds start within the same interval of this many seconds of a stimulus have one sound."""


@dataclass
class Augment:
    """Random changes to training windows; all off by default.

    Attributes:
        channel_dropout: Probability that a channel of a window is set to zero and removed from ``channel_mask``.
        amplitude: Windows are multiplied by exp(u), u uniform in +- this.
        time_shift: Windows start up to this many seconds earlier or later, inside their segment.
        flip: Probability that the polarity of a window is reversed.

    Raises:
        ConfigError: A value is out of its range.
    """

    channel_dropout: float = 0.0
    amplitude: float = 0.0
    time_shift: float = 0.0
    flip: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("channel_dropout", 1.0), ("flip", 1.0), ("amplitude", np.inf), ("time_shift", np.inf)):
            value = getattr(self, name)
            if not 0 <= value <= most or value == np.inf:
                limit = "a probability" if most == 1 else "finite and 0 or more"
                raise ConfigError(f"{name}={value} must be {limit} (data.augment.{name})")

    def gains(self, generator: np.random.Generator, channels: int) -> NDArray[np.float32] | None:
        """Draw the factor of each channel of a window, (channels, 1); None if nothing changes."""
        if not (self.channel_dropout or self.amplitude or self.flip):
            return None
        gains = np.full((channels, 1), np.exp(generator.uniform(-self.amplitude, self.amplitude)), np.float32)
        if generator.random() < self.flip:
            gains = -gains
        gains[generator.random(channels) < self.channel_dropout] = 0
        return gains


@dataclass(frozen=True)
class Window:
    """Position of a window: ``start`` in samples of its recording, which may move between ``first`` and ``last``."""

    recording: int
    segment: Segment
    start: int
    first: int
    last: int


def covered_samples(windows: Iterable[Window], samples: int) -> int:
    """How many samples of the recordings lie in at least one window of this length."""
    starts = sorted((window.recording, window.start) for window in windows)
    total = samples if starts else 0
    for (recording, start), (following, later) in pairwise(starts):
        total += min(samples, later - start) if following == recording else samples
    return total


def cut_windows(
    segments: Sequence[Segment], recordings: Sequence[Recording], rate: float, samples: int, hop: int
) -> list[Window]:
    """Cut segments into windows that lie inside of them.

    Args:
        segments: Segments to cut.
        recordings: Recordings of the store, in order.
        rate: EEG samples per second.
        samples: Length of a window.
        hop: Distance of the starts of two windows, in samples.
    """
    number = {recording.recording: index for index, recording in enumerate(recordings)}
    windows = []
    for segment in segments:
        recording = number[segment.recording]
        first = max(0, round(segment.onset * rate))
        stop = min(round((segment.onset + segment.duration) * rate), recordings[recording].samples)
        last = stop - samples
        windows += [Window(recording, segment, start, first, last) for start in range(first, last + 1, hop)]
    return windows


@dataclass
class Montage:
    """Channels of a recording, ordered so that neighbours are adjacent, with their positions and scaling.

    Attributes:
        order: Row of each channel in the recording, (C,).
        positions: Metres, zero where unknown or unusable, (C, 3).
        usable: False for flat channels, (C,).
        gain: Inverse spread per microvolt, zero for unusable channels, (C, 1).
        centre: Median in microvolts, zero for unusable channels, (C, 1).
    """

    order: NDArray[np.intp]
    positions: NDArray[np.float32]
    usable: NDArray[np.bool_]
    gain: NDArray[np.float32]
    centre: NDArray[np.float32]

    def __post_init__(self) -> None:
        self.unusable = np.flatnonzero(~self.usable)


def read_montage(store: Store, recording: Recording, scaling: Scaling) -> Montage:
    """Order a recording's channels by position, with their scaling; unusable channels become zero."""
    channels = store.channels(recording.recording)
    positions = np.array([[c.x, c.y, c.z] for c in channels], np.float32).reshape(-1, 3)
    order = np.asarray(order_by_position(positions))
    usable = scaling.usable[order]
    gain = np.where(usable, 1 / np.where(usable, scaling.spread[order], 1), 0).astype(np.float32)
    centre = np.where(usable, scaling.centre[order], 0).astype(np.float32)
    places = np.where(usable[:, None], np.nan_to_num(positions[order]), 0)
    return Montage(order, places, usable, gain[:, None], centre[:, None])


class WindowDataset(Dataset[Batch]):
    """Reads whole batches: ``__getitems__`` takes (index, seed) pairs and returns a ``Batch``.

    Args:
        store: The prepared data.
        windows: Windows of ``cut_windows``.
        scalings: Scaling of each recording.
        samples: EEG samples of a window.
        clamp: Scaled EEG is limited to +- this.
        audio: Also read the sound.
        augment: Random changes to the windows; None for evaluation.
        lag: Delay in samples of the EEG after its sound, as the cortex responds later than the sound begins. If the
            recording ends or is interrupted before, its last sample is repeated.
    """

    def __init__(
        self,
        store: Store,
        windows: Sequence[Window],
        scalings: dict[str, Scaling],
        samples: int,
        clamp: float,
        audio: bool,
        augment: Augment | None = None,
        lag: int = 0,
    ) -> None:
        self.store, self.windows, self.samples, self.clamp = store, windows, samples, clamp
        self.audio, self.augment, self.lag = audio, augment, lag
        used = sorted({window.recording for window in windows})
        recordings = [store.recordings[index] for index in used]
        self._montage = {
            i: read_montage(store, r, scalings[r.recording]) for i, r in zip(used, recordings, strict=True)
        }
        self._subject = {name: i for i, name in enumerate(store.subjects)}
        self._stimulus = {"": -1} | {name: i for i, name in enumerate(store.stimuli)}
        self._label = {name: i for i, name in enumerate(store.labels)} | {"": -1}

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """Read a batch; see ``eeg2speech.core.types.Batch``."""
        windows = [self.windows[index] for index, _ in keys]
        montages = [self._montage[window.recording] for window in windows]
        channels = max(len(montage.order) for montage in montages)
        eeg = np.zeros((len(keys), channels, self.samples), np.float32)
        positions = np.zeros((len(keys), channels, 3), np.float32)
        mask = np.zeros((len(keys), channels), bool)
        starts = []
        for i, ((_, seed), window, montage) in enumerate(zip(keys, windows, montages, strict=True)):
            generator = np.random.default_rng(seed) if self.augment else None
            start = self._shift(window, generator)
            starts.append(start)
            C = len(montage.order)
            out = eeg[i, :C]
            # scaled in place, window by window, while it is in the CPU cache
            raw = self._read(window, start + self.lag)
            raw.take(montage.order, axis=0, out=out, mode="clip")  # the default mode would copy twice
            if montage.unusable.size:
                out[montage.unusable] = 0  # they may hold anything
            out -= montage.centre
            out *= montage.gain
            exists = montage.usable
            if self.augment and generator and (gains := self.augment.gains(generator, C)) is not None:
                out *= gains
                exists = exists & (gains[:, 0] != 0)  # a dropped channel is neither an input nor a target
            out.clip(-self.clamp, self.clamp, out=out)
            positions[i, :C], mask[i, :C] = montage.positions * exists[:, None], exists
        return {
            "eeg": torch.from_numpy(eeg),
            "positions": torch.from_numpy(positions),
            "channel_mask": torch.from_numpy(mask),
            "audio": self._audio(windows, starts),
            "subject": torch.tensor([self._subject[self.store.recordings[w.recording].subject] for w in windows]),
            "stimulus": torch.tensor([self._stimulus[w.segment.stimulus] for w in windows]),
            "label": torch.tensor([self._label[w.segment.label] for w in windows]),
            "recording": torch.tensor([w.recording for w in windows]),
            "start": torch.tensor(starts, dtype=torch.float64) / self.store.rate,
            "sound_start": torch.tensor(
                [self.sound_start(w, start) for w, start in zip(windows, starts, strict=True)], dtype=torch.float64
            ),
            "index": torch.tensor([index for index, _ in keys]),
            "seed": torch.tensor([seed for _, seed in keys]),
        }

    def stimulus_blocks(self, length: int) -> StimulusBlocks:
        """Orders of the windows in blocks of this many of one stimulus."""
        stimuli, starts = zip(*self._sounds(), strict=True)
        return StimulusBlocks(stimuli, starts, length)

    @property
    def sounds(self) -> int:
        """Number of different sounds; windows of a stimulus that start together have one sound."""
        return len(set(self._sounds()))

    def _sounds(self) -> list[tuple[str, int]]:
        """Stimulus of each window, and the interval of it in which its sound starts."""
        return [(w.segment.stimulus, round(self.sound_start(w, w.start) / SAME)) for w in self.windows]

    def _shift(self, window: Window, generator: np.random.Generator | None) -> int:
        if generator is None or not self.augment or not self.augment.time_shift:
            return window.start
        reach = round(self.augment.time_shift * self.store.rate)
        first, last = max(window.first, window.start - reach), min(window.last, window.start + reach)
        return int(generator.integers(first, last + 1))

    def _read(self, window: Window, start: int) -> NDArray[np.float32]:
        """Samples from ``start`` on, (channels, samples), of the window's block; its ends are repeated."""
        recording = self.store.recordings[window.recording]
        eeg = self.store.eeg(recording)
        first, stop = self.store.block_at(recording, window.start)
        if start >= first and start + self.samples <= stop:
            return eeg[:, start : start + self.samples]
        inside = np.clip(np.arange(start, start + self.samples), first, stop - 1)
        return eeg[:, inside]

    def sound_start(self, window: Window, start: int) -> float:
        """Start in the stimulus, in seconds, of the sound of a window that starts at a sample."""
        return start / self.store.rate - window.segment.onset + window.segment.offset

    def _audio(self, windows: Sequence[Window], starts: Sequence[int]) -> torch.Tensor:
        length = round(self.samples / self.store.rate * RATE) if self.audio else 0
        audio = np.zeros((len(windows), length), np.float32)
        for out, window, start in zip(audio, windows, starts, strict=True):
            if length:
                segment = window.segment
                first = round(self.sound_start(window, start) * RATE)
                silence = max(0, -first)  # a window starts up to half a sample before its segment
                sound = self._sound(segment.stimulus, first + silence, length - silence)
                out[silence : silence + len(sound)] = sound
        return torch.from_numpy(audio)

    def _sound(self, stimulus: str, first: int, length: int) -> Waveform:
        file = self.store.audio_file(stimulus)
        if not file.is_file():
            raise DataError(
                f"{file}: missing; leave its segments out (data.conditions) or prepare the store from a folder that "
                "has this sound"
            )
        return self.store.audio(stimulus, first, length)
