"""Triggers in status channels of a recording, as events."""

from __future__ import annotations

import logging
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
from mne.io import BaseRaw
from numpy.typing import NDArray

from eeg2speech.core.types import RawRecording
from eeg2speech.data.events.events import Event, annotated_events
from eeg2speech.data.events.paired import on_clock
from eeg2speech.data.events.trigger_codes import MOST, port_codes, runs, transitions_removed
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.timing import Clock

NAME = re.compile(r"status|trig(ger)?s?|sti ?\d{3}|stim|stimulus|markers?|events?|din ?\d+|uppt ?\d+", re.IGNORECASE)
"""Names of channels that hold triggers, also in formats without types of channels."""
COMPOSITE = ("STI101", "STI 014")
"""Channels that hold what single lines (STI001, STI 001, ...) hold, the later system's first."""
LINE = re.compile(r"STI ?\d{3}")
PIECE = 2**20
"""Samples read at once."""
MICROVOLTS = {"µV": 1e6, "uV": 1e6, "mV": 1e3, "nV": 1e9}
"""What undoes the scaling of a channel that a format gives a unit."""
EUROPEAN = {".edf": mne.io.read_raw_edf, ".bdf": mne.io.read_raw_bdf, ".gdf": mne.io.read_raw_gdf}
"""Formats whose status channel mne truncates to 17 bits; opened alone, it is read as it is."""

logger = logging.getLogger(__name__)


def trigger_channels(raw: BaseRaw) -> list[str]:
    """Channels that hold triggers, by type or by name; single lines only where no channel composes them."""
    types = zip(raw.ch_names, raw.get_channel_types(), strict=True)
    found = [
        name
        for name, kind in types
        if kind == "stim" or (kind in ("eeg", "misc", "syst") and NAME.fullmatch(name.strip()))
    ]
    whole = next((name for name in COMPOSITE if name in found), None)
    return [name for name in found if whole is None or name == whole or not _is_line(name)]


def _is_line(name: str) -> bool:
    """Whether a channel is one that STI101 or STI 014 is composed of; STI201 and STI301 are not."""
    return bool(LINE.fullmatch(name)) and (int(name[-3:]) <= 16 or name in COMPOSITE)


def trigger_events(raw: BaseRaw, file: Path) -> list[Event]:
    """Triggers of a recording, in the order of their onsets; the signal is read piece by piece.

    An event is where a line of the port goes up, named by the code that the channel then has, ``65``; where codes are
    held until the next one, every change is an event. A code that is there from the first sample on has no onset.

    Raises:
        DataError: The channel cannot be read.
    """
    events: list[Event] = []
    for channel in trigger_channels(raw):
        found = _codes(raw, channel, file)
        for number, (sample, rate, code) in enumerate(found, start=1):
            columns = {"onset": f"{sample / rate:.9g}", "trial_type": str(code), "value": str(code), "channel": channel}
            where = f"{file}: trigger {number} of channel {channel} ({code})"
            events.append(Event(sample / rate, None, str(code), columns, where, sampled=True))
    return sorted(events, key=lambda event: event.onset)


def _codes(raw: BaseRaw, channel: str, file: Path) -> list[tuple[int, float, int]]:
    """Sample, samples per second and code of every trigger of a channel."""
    with wrap_read_errors(file):
        read, samples, rate = _opened(raw, channel)
        most = round(MOST * samples / rate) + 1000
        found = runs(read, samples, most, PIECE)
        if found is not None and not found[1].any():
            microvolts = _Microvolts(read)
            again = runs(microvolts, samples, most, PIECE)
            found = again if microvolts.whole else found
    if found is None:
        logger.warning("%s: channel %s changes more than %d times a second; it holds no triggers", file, channel, MOST)
        return []
    port = channel.strip().lower() == "status" or LINE.match(channel) or file.suffix.lower() == ".bdf"
    codes, idle = port_codes(found[1], bits=16 if port else None)
    starts, codes = transitions_removed(found[0], codes, samples, rate)
    before, after = codes[:-1], codes[1:]
    set_to = np.flatnonzero(codes)
    held = set_to.size > 2 and bool(codes[set_to[0] :].all())
    happens = (after != 0) & (((after & ~before) != 0) | held)
    falls = (after != 0) & ~happens
    if idle:
        logger.warning("%s: bits of channel %s that are never low are left out of its codes (%d)", file, channel, idle)
    if codes[:1].any():
        logger.warning("%s: channel %s has the code %d from the first sample on; no event", file, channel, codes[0])
    if falls.any():
        old, new = before[falls][0], after[falls][0]
        logger.warning(
            "%s: %d changes of channel %s only lower lines of the code before (%d to %d); no events",
            file, falls.sum(), channel, old, new,
        )  # fmt: skip
    return [(int(starts[1:][index]), rate, int(after[index])) for index in np.flatnonzero(happens)]


class _Microvolts:
    """Codes that a converter scaled to volts as if they were microvolts; ``whole`` says whether they are codes."""

    def __init__(self, read: Callable[[int, int], NDArray[np.float64]]) -> None:
        self.read, self.whole = read, True

    def __call__(self, first: int, last: int) -> NDArray[np.float64]:
        values = self.read(first, last) * 1e6
        self.whole &= bool((np.abs(values - np.rint(values)) < 0.01).all())
        return values if self.whole else np.zeros_like(values)


def _opened(raw: BaseRaw, channel: str) -> tuple[Callable[[int, int], NDArray[np.float64]], int, float]:
    """A function that reads the codes of a channel from one sample up to another, its samples, and their rate."""
    source, scale = raw, MICROVOLTS.get(raw._orig_units.get(channel, ""), 1.0)
    file = Path(raw.filenames[0]) if len(raw.filenames) == 1 and raw.filenames[0] else None
    suffix = file.suffix.lower() if file else ""
    if suffix == ".set":
        scale = 1e6  # whatever the channel is, it is taken for microvolts
    if file is not None and suffix in EUROPEAN:
        alone = EUROPEAN[suffix](file, include=[channel], stim_channel=None, verbose="ERROR")
        if alone.ch_names == [channel]:  # not one of a doubled name
            source = alone
            scale = MICROVOLTS.get(alone._orig_units.get(channel, ""), 1.0)
    pick = source.ch_names.index(channel)

    def read(first: int, last: int) -> NDArray[np.float64]:
        values: NDArray[np.float64] = source.get_data([pick], start=first, stop=last)[0] * scale
        return values

    return read, int(source.n_times), float(source.info["sfreq"])


def recorded_events(raw: BaseRaw, file: Path, read: RawRecording) -> list[Event]:
    """Annotations and triggers of a recording on its clock, in the order of their onsets.

    Args:
        raw: The recording.
        file: Its file.
        read: What was read of it.

    Raises:
        DataError: A status channel cannot be read.
    """
    near, end = 1.5 / read.rate, Clock.of(read).seconds
    annotated = on_clock(read, annotated_events(raw, file, read.clocked))
    annotated = sorted((event for event in annotated if event.onset <= end), key=lambda event: event.onset)
    onsets = [event.onset for event in annotated]
    triggers = []
    for event in on_clock(read, trigger_events(raw, file)):
        first, stop = bisect_left(onsets, event.onset - near), bisect_right(onsets, event.onset + near)
        triggers.append(replace(event, twins=tuple(note.where for note in annotated[first:stop])))
    return sorted([*annotated, *triggers], key=lambda event: event.onset)
