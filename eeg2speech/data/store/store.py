"""The prepared store, a folder that training maps into memory: its tables, its description and its reader."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import RATE, Waveform, read_audio
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import disk_errors, printable, write_json, written_beside
from eeg2speech.core.paths import expanded
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Channel, Recording, Segment
from eeg2speech.data.timing import Stretch

VERSION = 2
"""Version of the layout; stores of another version are refused."""
REPLACING = ".replacing"
"""File that exists while signals, sounds and tables of a store are replaced."""
LONGEST = 200
"""Bytes of the longest id: file systems allow names of 255 bytes, and temporary files have longer names."""
MAPS = 256
"""Largest number of recordings that are mapped at once: each keeps a file open, and systems allow about a thousand."""


@dataclass(frozen=True)
class StoredChannel(Channel):
    """Row of ``channels.tsv``: a channel and the recording it belongs to."""

    recording: str = ""


@dataclass(frozen=True)
class Dropped:
    """Row of ``dropped.tsv``: a part of the raw data that is not in the store, and why.

    Attributes:
        recording: Recording it belongs to.
        what: ``recording``; ``sound`` that is missing, or that the recording has none; ``segment`` that could not be
            made; ``channel`` that was interpolated or set to zero; ``time`` cut out of segments; or ``filled``, time
            in which all channels were missing and were interpolated.
        name: Name of the channel, stimulus or segment, else empty.
        seconds: Amount of time; NaN where it does not apply.
        reason: In words.
        missing: True if a file of the raw data is missing, so that the dataset should be completed.
    """

    recording: str
    what: str
    name: str = ""
    seconds: float = float("nan")
    reason: str = ""
    missing: bool = False


@dataclass(frozen=True)
class StoredBlock:
    """Row of ``pieces.tsv``: a contiguous block of a recording. Uninterrupted recordings are not in the table.

    Attributes:
        recording: Recording it belongs to.
        first: First sample, at the store's rate.
        stop: The sample after the last.
    """

    recording: str
    first: int
    stop: int


@dataclass
class Description:
    """Content of ``dataset.json``: origin and settings of a store.

    Attributes:
        name: Name of the dataset, e.g. ``FEIS``.
        source: Where the raw data can be obtained.
        license: Licence of the raw data.
        citation: What to cite.
        simulated: True if the EEG was simulated; results must then say so.
        rate: EEG samples per second.
        audio_rate: Audio samples per second.
        settings: Every setting of the reader and of the preprocessing.
        inputs: sha256 of every input file, by its path relative to the raw folder.
        sounds: sha256 of the source of each sound, by stimulus.
        root: The raw folder, empty if there is none.
        version: Version of the layout.
    """

    name: str
    source: str
    license: str
    citation: str
    simulated: bool
    rate: float
    audio_rate: int = RATE
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    sounds: dict[str, str] = field(default_factory=dict)
    root: str = ""
    version: int = VERSION


def check_id(name: str, what: str) -> str:
    """Check that an id is safe as a file name, and return it.

    Raises:
        DataError: It holds a path separator or a control character, starts with a dot, is too long or not UTF-8.
    """
    if printable(name) != name:
        raise DataError(f"{what} {printable(name)}: its name is not UTF-8; rename it")
    if (size := len(name.encode())) > LONGEST:
        raise DataError(f"{what} {name[:40]}...: its name has {size} bytes, the limit is {LONGEST}; shorten it")
    if not name or name.startswith(".") or re.search(r"[/\\:\x00-\x1f]", name):
        raise DataError(f"{what} {name!r} cannot be a file name; use letters, digits, '-', '_' and '.'")
    return name


class Store:
    """Reader of a prepared store.

    Args:
        root: The store's folder.

    Raises:
        DataError: The folder is not a store, or a store of another version.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = expanded(root)
        self._resolved = self.root.resolve()
        if not self.root.is_dir():
            raise DataError(
                f"{self.root}: no such folder (data.store); make one with `eeg2speech prepare NAME ROOT OUT`"
            )
        self.description = read_description(self.root)
        if (self.root / REPLACING).exists():
            raise DataError(
                f"{self.root}: prepare is replacing recordings, or was interrupted while it did; wait until it has "
                "finished, or run the same command again"
            )
        self.recordings = read_table(self.root / "recordings.tsv", Recording)
        known = {recording.recording for recording in self.recordings}
        rows = read_table(self.root / "segments.tsv", Segment)
        self.segments = [segment for segment in rows if segment.recording in known]
        self._maps: dict[str, NDArray[np.float32]] = {}
        self._blocks: dict[str, list[Stretch]] = {}
        if (self.root / "pieces.tsv").is_file():
            for block in read_table(self.root / "pieces.tsv", StoredBlock):
                self._blocks.setdefault(block.recording, []).append((block.first, block.stop))
        self._channels: dict[str, list[StoredChannel]] = {name: [] for name in known}
        for channel in read_table(self.root / "channels.tsv", StoredChannel):
            if channel.recording in known:
                self._channels[channel.recording].append(channel)

    @property
    def rate(self) -> float:
        """EEG samples per second."""
        return self.description.rate

    @property
    def subjects(self) -> list[str]:
        """Subject labels, sorted."""
        return sorted({recording.subject for recording in self.recordings})

    @property
    def stimuli(self) -> list[str]:
        """Stimulus ids, sorted."""
        return sorted({segment.stimulus for segment in self.segments})

    @property
    def labels(self) -> list[str]:
        """Segment labels, sorted."""
        return sorted({segment.label for segment in self.segments if segment.label})

    @property
    def fingerprint(self) -> str:
        """sha256 of the tables of recordings and segments: stores with the same value are split alike."""
        digest = hashlib.sha256()
        for name in ("recordings.tsv", "segments.tsv"):
            digest.update(hashlib.sha256((self.root / name).read_bytes()).digest())
        return digest.hexdigest()

    def channels(self, recording: str) -> list[StoredChannel]:
        """Channels of a recording in the order of its rows."""
        return self._channels[recording]

    def blocks(self, recording: Recording) -> list[Stretch]:
        """Contiguous blocks of a recording, in samples. Filters and windows must not cross their borders."""
        return self._blocks.get(recording.recording) or [(0, recording.samples)]

    def block_at(self, recording: Recording, sample: int) -> Stretch:
        """The contiguous block of a recording that a sample belongs to, or the one before or after it."""
        blocks = self.blocks(recording)
        return blocks[max(bisect_right(blocks, sample, key=itemgetter(0)) - 1, 0)]

    def eeg(self, recording: Recording) -> NDArray[np.float32]:
        """Signal of a recording in microvolts, (channels, samples), mapped into memory.

        Raises:
            DataError: The file is missing, truncated, of another shape, or outside the store.
        """
        known = self._maps.get(recording.file)
        if known is not None:
            return known
        file = self._inside(recording.file)
        try:
            eeg: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: cannot be mapped ({error}); prepare the store again") from error
        if eeg.shape != (recording.channels, recording.samples) or eeg.dtype != np.float32:
            raise DataError(
                f"{file}: {eeg.dtype} {eeg.shape}, but recordings.tsv states float32 "
                f"({recording.channels}, {recording.samples}); prepare the store again"
            )
        if len(self._maps) >= MAPS:
            self._maps.pop(next(iter(self._maps)))
        # a plain array over the map: slicing `np.memmap` itself takes longer than reading a window
        plain = self._maps[recording.file] = np.asarray(eeg)
        return plain

    def __getstate__(self) -> dict[str, Any]:
        # a worker that is spawned maps the files itself instead of being sent their content
        return self.__dict__ | {"_maps": {}}

    def audio_file(self, stimulus: str) -> Path:
        """Path of a stimulus inside the store."""
        return self._inside(f"audio/{stimulus}.flac")

    def audio(self, stimulus: str, start: int = 0, samples: int = -1) -> Waveform:
        """Waveform of a stimulus at 16 kHz in [-1, 1], (samples,), from sample ``start`` on."""
        return read_audio(self.audio_file(stimulus), start, samples)[0]

    def envelope(self, stimulus: str) -> NDArray[np.float32] | None:
        """Envelope of a stimulus at the store's rate, (samples,), if the dataset publishes it instead of the sound.

        Raises:
            DataError: The file is damaged.
        """
        file = self._inside(f"envelopes/{stimulus}.npy")
        if not file.is_file():
            return None
        try:
            envelope: NDArray[np.float32] = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{file}: cannot be read ({error}); prepare the store again") from error
        if envelope.ndim != 1 or envelope.dtype != np.float32:
            raise DataError(f"{file}: {envelope.dtype} {envelope.shape}, not float32 (samples,); prepare it again")
        return envelope

    def _inside(self, path: str) -> Path:
        file = (self.root / path).resolve()
        if not file.is_relative_to(self._resolved):
            raise DataError(f"{self.root}: {path!r} is outside of the store; the store was tampered with")
        return file


def read_description(root: Path) -> Description:
    """Read a store's ``dataset.json``.

    Raises:
        DataError: It is missing, malformed, or of another version.
    """
    file = root / "dataset.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content["version"]
    except FileNotFoundError:
        raise DataError(
            f"{root}: not a prepared store (no dataset.json); make one with `eeg2speech prepare NAME ROOT OUT`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: damaged ({error!r}); prepare the store again") from error
    if version != VERSION:
        raise DataError(
            f"{file}: store version {version}, this eeg2speech reads {VERSION}; run `eeg2speech prepare` again"
        )
    try:
        return Description(**content)
    except TypeError as error:
        raise DataError(f"{file}: damaged ({error}); prepare the store again") from error


def write_description(root: Path, description: Description) -> None:
    """Write a store's ``dataset.json``."""
    write_json(root / "dataset.json", asdict(description))


def save_array(file: Path, values: NDArray[np.floating]) -> None:
    """Write an array as float32, completely or not at all.

    Raises:
        DiskError: The disk is full or cannot be written.
    """
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as partial, partial.open("wb") as stream:
            np.save(stream, np.ascontiguousarray(values, np.float32), allow_pickle=False)
