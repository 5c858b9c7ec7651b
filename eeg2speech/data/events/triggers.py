"""Triggers in status channels of a recording, as events."""

from __future__ import annotations

import logging
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import mne
import numpy as np
from mne.io import BaseRaw
from numpy.typing import NDArray

from eeg2speech.core.types import RawRecording
from eeg2speech.data.events.cues import on_clock
from eeg2speech.data.events.events import Event, annotated_events
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.files.recording_files import TRIGGER_CHANNEL
from eeg2speech.data.timing import Clock

COMPOSITE = ("STI101", "STI 014")
"""Channels that combine the single lines (STI001, STI 001, ...), that of the later system first."""
LINE = re.compile(r"STI ?\d{3}")
PIECE = 2**20
"""Samples read at once."""
CHANGES = 100
"""Changes per second on average; a channel with more is a counter or a signal and holds no triggers."""
TRANSITION = 1e-3
"""Seconds that the lines of a port may take to switch. Shorter codes between two others are artefacts."""
UNSCALED = {"µV": 1e6, "uV": 1e6, "mV": 1e3, "nV": 1e9}
"""Factors that undo the scaling of a channel with a unit."""
READERS = {".edf": mne.io.read_raw_edf, ".bdf": mne.io.read_raw_bdf, ".gdf": mne.io.read_raw_gdf}
"""Formats whose status channel mne truncates to 17 bits, unless the channel is read alone."""

Codes: TypeAlias = NDArray[np.int64]
ReadCodes: TypeAlias = Callable[[int, int], NDArray[np.float64]]
"""Reads the values of a channel from one sample up to another."""

logger = logging.getLogger(__name__)


def recorded_events(raw: BaseRaw, file: Path, read: RawRecording) -> list[Event]:
    """Annotations and triggers of a recording on its clock, in the order of their onsets.

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


def trigger_events(raw: BaseRaw, file: Path) -> list[Event]:
    """Triggers of a recording, in the order of their onsets; the signal is read in pieces.

    A trigger is where a line of the port rises, named by the code that the channel then has, ``65``. Where codes are
    held until the next one, every change is a trigger. A code that is present from the first sample on has no onset.

    Raises:
        DataError: The channel cannot be read.
    """
    events: list[Event] = []
    for channel in trigger_channels(raw):
        found = _triggers(raw, channel, file)
        for number, (sample, rate, code) in enumerate(found, start=1):
            columns = {"onset": f"{sample / rate:.9g}", "trial_type": str(code), "value": str(code), "channel": channel}
            where = f"{file}: trigger {number} of channel {channel} ({code})"
            events.append(Event(sample / rate, None, str(code), columns, where, sampled=True))
    return sorted(events, key=lambda event: event.onset)


def trigger_channels(raw: BaseRaw) -> list[str]:
    """Channels that hold triggers, by type or by name; single lines only where no channel combines them."""
    types = zip(raw.ch_names, raw.get_channel_types(), strict=True)
    found = [
        name
        for name, kind in types
        if kind == "stim" or (kind in ("eeg", "misc", "syst") and TRIGGER_CHANNEL.fullmatch(name.strip()))
    ]
    whole = next((name for name in COMPOSITE if name in found), None)
    return [name for name in found if whole is None or name == whole or not _is_line(name)]


def _is_line(name: str) -> bool:
    """Whether a channel is one that STI101 or STI 014 is composed of; STI201 and STI301 are not."""
    return bool(LINE.fullmatch(name)) and (int(name[-3:]) <= 16 or name in COMPOSITE)


def _triggers(raw: BaseRaw, channel: str, file: Path) -> list[tuple[int, float, int]]:
    """Sample, samples per second and code of every trigger of a channel."""
    with wrap_read_errors(file):
        read, samples, rate = _open_channel(raw, channel)
        most = round(CHANGES * samples / rate) + 1000
        found = find_runs(read, samples, most)
        if found is not None and not found[1].any():
            microvolts = _Microvolts(read)
            again = find_runs(microvolts, samples, most)
            found = again if microvolts.integers else found
    if found is None:
        logger.warning(
            "%s: channel %s changes more than %d times a second; it holds no triggers", file, channel, CHANGES
        )
        return []
    port = channel.strip().lower() == "status" or LINE.match(channel) or file.suffix.lower() == ".bdf"
    codes, idle = port_codes(found[1], bits=16 if port else None)
    starts, codes = remove_transitions(found[0], codes, samples, rate)
    before, after = codes[:-1], codes[1:]
    nonzero = np.flatnonzero(codes)
    held = nonzero.size > 2 and bool(codes[nonzero[0] :].all())
    rises = (after != 0) & (((after & ~before) != 0) | held)
    falls = (after != 0) & ~rises
    if idle:
        logger.warning("%s: bits of channel %s that are never low are left out of its codes (%d)", file, channel, idle)
    if codes[:1].any():
        logger.warning("%s: channel %s has the code %d from the first sample on; no event", file, channel, codes[0])
    if falls.any():
        logger.warning(
            "%s: %d changes of channel %s only lower lines of the code before (%d to %d); no events",
            file, falls.sum(), channel, before[falls][0], after[falls][0],
        )  # fmt: skip
    return [(int(starts[1:][index]), rate, int(after[index])) for index in np.flatnonzero(rises)]


class _Microvolts:
    """Reads codes that a converter scaled to volts as if they were microvolts.

    ``integers`` is True as long as all values read are integers, so that they can be codes.
    """

    def __init__(self, read: ReadCodes) -> None:
        self.read, self.integers = read, True

    def __call__(self, first: int, last: int) -> NDArray[np.float64]:
        values = self.read(first, last) * 1e6
        self.integers &= bool((np.abs(values - np.rint(values)) < 0.01).all())
        return values if self.integers else np.zeros_like(values)


def _open_channel(raw: BaseRaw, channel: str) -> tuple[ReadCodes, int, float]:
    """A function that reads the codes of a channel, its samples, and its samples per second."""
    source, scale = raw, UNSCALED.get(raw._orig_units.get(channel, ""), 1.0)
    file = Path(raw.filenames[0]) if len(raw.filenames) == 1 and raw.filenames[0] else None
    suffix = file.suffix.lower() if file else ""
    if suffix == ".set":
        scale = 1e6  # mne reads every channel of EEGLAB as microvolts
    if file is not None and suffix in READERS:
        alone = READERS[suffix](file, include=[channel], stim_channel=None, verbose="ERROR")
        if alone.ch_names == [channel]:  # else the name occurs twice
            source = alone
            scale = UNSCALED.get(alone._orig_units.get(channel, ""), 1.0)
    pick = source.ch_names.index(channel)

    def read(first: int, last: int) -> NDArray[np.float64]:
        values: NDArray[np.float64] = source.get_data([pick], start=first, stop=last)[0] * scale
        return values

    return read, int(source.n_times), float(source.info["sfreq"])


def find_runs(read: ReadCodes, samples: int, most: int) -> tuple[Codes, Codes] | None:
    """Find the runs of equal values of a channel; the first run starts at sample 0.

    Returns:
        First sample and value of every run, (runs,) each; None where there are too many.
    """
    starts, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    last: int | None = None
    count = 0
    for first in range(0, samples, PIECE):
        part = np.rint(np.nan_to_num(read(first, min(first + PIECE, samples)))).astype(np.int64)
        changed = np.flatnonzero(np.diff(part)) + 1
        if part[0] != last:
            changed = np.concatenate([[0], changed])
        last = int(part[-1])
        count += changed.size
        if count > most:
            return None
        starts.append(first + changed)
        values.append(part[changed])
    return np.concatenate(starts), np.concatenate(values)


def port_codes(values: Codes, bits: int | None) -> tuple[Codes, int]:
    """Codes of a trigger port.

    Bits above those of the port are states of the amplifier (BioSemi: new epoch, electrodes in range, battery), or the
    sign of 16 lines that were read as a signed number. Bits above the eighth that are high in every sample are lines
    without a connection.

    Args:
        values: Values of the channel, (runs,).
        bits: Lines of the port; None where the number is unknown, and a pulse may be negative.

    Returns:
        Codes, (runs,), and the bits above the eighth that are always high.
    """
    if not values.size:
        return values, 0
    codes = np.abs(values) if bits is None else values & (2**bits - 1)
    idle = int(np.bitwise_and.reduce(codes)) & ~0xFF
    return codes & ~idle, idle


def remove_transitions(starts: Codes, codes: Codes, samples: int, rate: float) -> tuple[Codes, Codes]:
    """Remove runs in which some lines of the port had not switched yet, from starts and codes, (runs,) each.

    Of consecutive short runs, none is kept where they lead from one code to another, and the highest one where they
    lead back to the same code: that is a pulse.
    """
    starts, codes = _merge_equal(starts, codes)
    short = (np.diff(starts, append=samples) / rate <= TRANSITION) & (codes != 0)
    short[:1] = False
    keep = ~short
    edges = np.diff(short.astype(np.int8), prepend=0, append=0)
    for first, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        after = codes[end] if end < codes.size else 0
        if codes[first - 1] == after:
            keep[first + np.argmax(codes[first:end] & ~after)] = True
    return _merge_equal(starts[keep], codes[keep])


def _merge_equal(starts: Codes, codes: Codes) -> tuple[Codes, Codes]:
    new = np.diff(codes, prepend=codes[:1] - 1) != 0
    return starts[new], codes[new]
