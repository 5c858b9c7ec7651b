"""Mixing the channels of a sound into one waveform, and checking whether they hold the same sound."""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio.waveform import Waveform
from eeg2speech.core.errors import DataError

ChannelChoice: TypeAlias = Literal["mean", "left", "right"] | int
"""A channel of a sound, by name or by number from 0, or the mean of all."""

ALIKE = 0.9
"""Correlation of two channels' envelopes from which they count as the same sound. Speech in two spaced microphones
reaches 0.95 and more; a trigger track or another talker stays near 0."""
FRAME = 0.02
"""Seconds over which an envelope is averaged: longer than the delay between two ears or microphones."""
STEADY = 0.05
"""Coefficient of variation below which an envelope is that of a steady tone, which correlates with nothing."""
FRAMES = 1500
"""Frames that are read at once: half a minute."""
SILENT = 0.01
"""Level of a channel relative to the loudest one below which it counts as silent."""
CANCELLED = 0.2
"""Variance of the mean, relative to that of the mean of unrelated channels, below which channels cancel each other:
a correlation below -0.8 in stereo."""
FULL = 0.999
"""Absolute value of samples at full scale."""
CLIPPED = 0.001
"""Fraction of the samples from which a sound counts as clipped."""

logger = logging.getLogger(__name__)


class Mixer:
    """Mixes the channels of a sound into one waveform, block by block, and examines them.

    Args:
        count: Number of channels.
        rate: Samples per second.
        channel: Which of them; ``mean`` averages all.
        source: File or array they come from, for messages.

    Raises:
        DataError: There is no such channel.
    """

    def __init__(self, count: int, rate: float, channel: ChannelChoice, source: object) -> None:
        self.source, self.count = source, count
        self.chosen = channel_number(channel, count, source)
        self._frame = max(round(rate * FRAME), 1)
        self.block = self._frame * FRAMES
        self._samples = self._clipped = 0
        self._sums, self._squares = np.zeros(count + 1), np.zeros(count + 1)  # of the channels and of their mean
        self._levels: list[NDArray[np.float64]] = []

    def add(self, block: NDArray[np.float32]) -> Waveform:
        """Mix the next samples, (samples, channels); every block but the last has ``block`` samples."""
        columns = np.ascontiguousarray(block.T if self.chosen is None else block.T[self.chosen : self.chosen + 1])
        wave: Waveform = columns[0] if len(columns) == 1 else columns.sum(axis=0) / np.float32(self.count)
        self._samples += columns.size
        self._clipped += _clipped(columns)
        if len(columns) > 1:
            whole = len(wave) // self._frame * self._frame
            for row, samples in enumerate((*columns, wave)):
                self._sums[row] += samples[:whole].sum(dtype=np.float64)
            frames = np.concatenate([columns, wave[None]])[:, :whole].reshape(self.count + 1, -1, self._frame)
            power = np.einsum("cfn,cfn->cf", frames, frames).astype(np.float64)
            self._squares += power.sum(axis=1)
            self._levels.append(np.sqrt(power[:-1] / self._frame))
        return wave

    def finish(self) -> None:
        """Warn of clipping and of channels that are silent or hold different sounds.

        Raises:
            DataError: The channels cancel each other.
        """
        if self._clipped > CLIPPED * self._samples:
            logger.warning("%s: %.1f%% of the sound is clipped", self.source, 100 * self._clipped / self._samples)
        if self._levels:
            self._compare()

    def _compare(self) -> None:
        levels = np.concatenate(self._levels, axis=1)
        samples = levels.shape[1] * self._frame
        if not samples:
            return
        variance = np.maximum(self._squares / samples - np.square(self._sums / samples), 0)
        level, mean = np.sqrt(variance[:-1]), variance[-1]
        unrelated = variance[:-1].sum() / self.count**2
        if mean < CANCELLED * unrelated:
            raise DataError(
                f"{self.source}: its {self.count} channels cancel each other (their mean has {mean / unrelated:.0%} of "
                "the power that unrelated channels would leave); name one of them, e.g. channel=left"
            )
        loudest = int(level.argmax())
        silent = level < SILENT * level[loudest]
        if silent.any():
            names = ", ".join(self._name(index) for index in np.flatnonzero(silent))
            logger.warning(
                "%s: silent in one of its channels (%s); the mean of all is taken, at a lower level, unless channel "
                "names one", self.source, names,
            )  # fmt: skip
        other, r = self._least_alike(levels[~silent], np.flatnonzero(~silent), loudest)
        if r < ALIKE:
            logger.warning(
                "%s: two of its channels hold different sounds (%s and %s, correlation of their envelopes %.2f); the "
                "mean of all is taken unless channel names one, e.g. channel=left",
                self.source, *map(self._name, sorted((loudest, other))), r,
            )  # fmt: skip

    def _least_alike(self, levels: NDArray[np.float64], numbers: NDArray[np.intp], loudest: int) -> tuple[int, float]:
        """The channel whose envelope correlates least with that of the loudest channel, and the correlation."""
        spread, mean = levels.std(axis=1), levels.mean(axis=1)
        reference = int(np.flatnonzero(numbers == loudest)[0])
        least, lowest = loudest, 1.0
        for index, number in enumerate(numbers):
            pair = [reference, index]
            if index == reference or (spread[pair] < STEADY * mean[pair]).all():
                continue
            product = float(spread[reference] * spread[index])
            covariance = float(((levels[reference] - mean[reference]) * (levels[index] - mean[index])).mean())
            r = covariance / product if product > 0 else 0.0
            if r < lowest:
                least, lowest = int(number), r
        return least, lowest

    def _name(self, index: int | np.integer) -> str:
        return ("left", "right")[index] if self.count == 2 else f"channel {index}"


def _clipped(columns: NDArray[np.float32]) -> int:
    """Samples that stay at full scale until the next one, or lie above it."""
    if max(columns.max(initial=0.0), -columns.min(initial=0.0)) < FULL:
        return 0
    level = np.abs(columns[:, :-1])
    held = (level >= FULL) & (columns[:, :-1] == columns[:, 1:])
    return int((held | (level > 1)).sum())


def channel_number(channel: ChannelChoice, count: int, source: object) -> int | None:
    """Number of a channel from 0; None for the mean of all.

    Raises:
        DataError: A sound of ``count`` channels has no channel of that name or number.
    """
    if channel == "mean" or (count == 1 and channel in ("left", "right")):
        return None
    number = {"left": 0, "right": 1}.get(channel) if isinstance(channel, str) else channel
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < count:
        raise DataError(
            f"{source}: has no channel={channel!r} among its {count}; name one from 0 to {count - 1}, left or right, "
            "or mean"
        )
    return int(number)


def mixed(samples: NDArray[np.float32], rate: float, channel: ChannelChoice, source: object) -> Waveform:
    """Mix an array into one waveform.

    Args:
        samples: In [-1, 1], (samples,), (samples, channels) or (channels, samples); the shorter axis is the channels.
        rate: See ``Mixer``, as for the other arguments.
        channel: See ``Mixer``.
        source: See ``Mixer``.

    Raises:
        DataError: The array has another shape, there is no such channel, or the channels cancel each other.
    """
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise DataError(f"{source}: a waveform of shape {samples.shape}; give (samples,) or (samples, channels)")
    columns = samples.reshape(len(samples), -1) if samples.ndim == 1 or len(samples) > samples.shape[1] else samples.T
    mixer = Mixer(columns.shape[1], rate, channel, source)
    wave = np.concatenate([mixer.add(columns[i : i + mixer.block]) for i in range(0, len(columns), mixer.block)])
    mixer.finish()
    return wave
