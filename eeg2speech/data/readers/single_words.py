"""Reader of SingleWordProductionDutch: intracranial EEG of words read aloud (doi 10.1038/s41597-022-01542-9)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Channel, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.electrodes.montage import Position
from eeg2speech.data.electrodes.names import channel_key, match_names
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.raw import UNKNOWN
from eeg2speech.data.files.reading import read_csv, wrap_read_errors
from eeg2speech.data.readers.base import Reader, find_folder

RATE, SOUND_RATE = 1024.0, 48000.0
"""Nominal samples per second. Some files have the time of every sample on the recorder's clock instead."""
TOLERANCE = 0.01
"""Fraction by which that clock may differ from the nominal rate."""
COMMISSURE = (0.0, 0.031, 0.040)
"""Origin of ACPC coordinates in head coordinates, in metres: of mne's fsaverage; a person's differs by about 1 cm."""
SILENCE = ("", "+", "nan", "n/a")
"""Content of the stream of prompts where no word is shown."""
STEP = 2**14
"""Samples copied at once."""

Prompt = tuple[float, str]
"""Onset of a word in seconds of the recording, and the word."""

logger = logging.getLogger(__name__)


@dataclass
class SingleWords(Reader):
    """SingleWordProductionDutch: 10 people with sEEG electrodes read 100 words aloud (osf.io/nrgx6, CC BY 4.0).

    Intracranial electrodes are a strong positive control. A run has one sound of five minutes, and the electrodes
    differ between participants, so the test data have to come from the same run as the training data. A run is
    therefore cut into parts, each a stimulus, as many as the authors' cross-validation has folds. The sounds are the
    participant's own voice, shifted in pitch by the authors.

    Names in the NWB file, units (microvolts) and rates are those of the authors' loader and of public ones; the reader
    was tested on files written in that layout, not on published ones.

    Attributes:
        root: Folder that holds sub-01, sub-02, ... (SingleWordProductionDutch-iBIDS).
        parts: Stretches of several words that each run is cut into; 0 makes every word a stimulus with a label.
    """

    name = "single_words"
    title = "SingleWordProductionDutch"
    url = "https://doi.org/10.17605/OSF.IO/NRGX6"
    license = "CC BY 4.0"
    citation = (
        "M. Verwoert, M. C. Ottenhoff, S. Goulis, A. J. Colon, L. Wagner, S. Tousseyn, J. P. van Dijk, P. L. Kubben, "
        "C. Herff, Dataset of Speech Production in intracranial Electroencephalography, Scientific Data 9, 434, 2022"
    )

    layout = "sub-01/ieeg, sub-02/ieeg, ..."

    parts: int = 10

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant."""
        if self.parts < 0:
            raise ConfigError(f"parts={self.parts} must be 0 or more")
        root = find_folder(root, "SingleWordProductionDutch-iBIDS") or root
        for folder in sorted(root.glob("sub-*/ieeg")):
            recording = folder.parent.name
            file, channels = (folder / f"{recording}_task-wordProduction_{end}" for end in ("ieeg.nwb", "channels.tsv"))
            electrodes = next(iter(sorted(folder.glob("*_electrodes.tsv"))), None)
            load = partial(read_single_words, file, channels, electrodes, recording, self.parts)
            inputs = (file, channels, *([electrodes] if electrodes else []))
            yield Source(recording, recording.removeprefix("sub-"), "", "", inputs, load)


def read_single_words(file: Path, channels: Path, electrodes: Path | None, recording: str, parts: int) -> RawRecording:
    """Read one participant.

    Args:
        file: NWB file with the series iEEG, Audio and Stimulus.
        channels: Table of the channels, in the order of the series.
        electrodes: Electrode positions in ACPC coordinates, in millimetres; None if unknown.
        recording: Id of the recording.
        parts: Stretches that the run is cut into; 0 for single words.

    Raises:
        ConfigError: pynwb is not installed.
    """
    names = [row["name"] for row in read_csv(channels, ("name",), "\t")]
    with _open_series(file) as series:
        start, rate = _clock(series("iEEG"), RATE, file)
        sound_start, sound_rate = _clock(series("Audio"), SOUND_RATE, file)
        eeg = _read_signal(series("iEEG").data, file)
        prompts = _read_prompts(series("Stimulus").data, rate)
        sound = series("Audio").data
        sound_samples = len(sound)
        peak = max((float(np.abs(sound[i : i + 2**20]).max()) for i in range(0, sound_samples, 2**20)), default=0.0)
    if len(names) != len(eeg):
        raise DataError(f"{channels}: {len(names)} channels, but {file.name} holds {len(eeg)}; download it again")
    lead = start - sound_start  # seconds of sound before the first sample of EEG, on their common clock
    last = min(eeg.shape[1] / rate, sound_samples / sound_rate - lead)
    segments: list[Segment] = []
    stimuli: dict[str, Sound] = {}
    for number, (first, end, words) in enumerate(_stretches(prompts, last, parts), start=1):
        first = max(first, -lead, 0.0)
        if end - first < 1 / rate:
            continue
        stimulus = f"{recording}_{'word' if parts == 0 else 'part'}-{number:03d}"
        span = (round((first + lead) * sound_rate), round((end + lead) * sound_rate))
        stimuli[stimulus] = partial(read_voice, file, *span, sound_rate, peak)
        label = words if parts == 0 else ""
        segments.append(Segment(recording, first, end - first, stimulus, 0.0, "overt", label, words))
    lost = []
    if not segments:
        logger.warning("%s: shows no words while sound and EEG were recorded; kept without a sound", file)
        lost, segments = [Lost("sound", "no words are shown")], [silent(recording, eeg.shape[1] / rate)]
    return RawRecording(eeg, rate, _located(names, electrodes), segments, stimuli=stimuli, lost=lost)


def read_voice(file: Path, first: int, last: int, rate: float, peak: float) -> tuple[NDArray[np.float32], float]:
    """A stretch of the voice, divided by the peak of the run: waveform in [-1, 1], (samples,), and its rate."""
    with _open_series(file) as series:
        wave = np.asarray(series("Audio").data[first:last], np.float64)
    wave = wave.reshape(len(wave), -1).mean(axis=1)
    return (wave / (peak or 1.0)).astype(np.float32), rate


@contextmanager
def _open_series(file: Path) -> Iterator[Any]:
    """Open an NWB file; yields a function that returns a series by name."""
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ConfigError(f"{file}: reading NWB needs pynwb; pip install eeg2speech[nwb]") from error
    with wrap_read_errors(file), NWBHDF5IO(str(file), "r") as stream:
        held = stream.read().acquisition

        def series(name: str) -> Any:
            if name not in held:
                raise DataError(f"{file}: holds {', '.join(held) or 'nothing'}, no {name}; download it again")
            return held[name]

        yield series


def _clock(series: Any, nominal: float, file: Path) -> tuple[float, float]:
    """Start of a series on the recorder's clock, in seconds, and its samples per second.

    The times of samples come from a network clock that jitters; the authors' own loader counts samples at the nominal
    rate.
    """
    if series.rate is not None:
        return float(series.starting_time or 0.0), float(series.rate)
    times, samples = series.timestamps, len(series.data)
    if times is None or len(times) != samples or samples < 2:
        raise DataError(f"{file}: {series.name} has neither a rate nor the time of every sample; download it again")
    first, last = float(times[0]), float(times[samples - 1])
    rate = (samples - 1) / (last - first) if last > first else 0.0
    if not abs(rate / nominal - 1) < TOLERANCE:
        raise DataError(f"{file}: {series.name} has {rate:g} samples per second, not {nominal:g}; download it again")
    return first, nominal


def _read_signal(data: Any, file: Path) -> NDArray[np.float32]:
    """Volts, (channels, samples); copied in steps, as the file has (samples, channels) in double precision."""
    if len(data.shape) != 2 or 0 in data.shape:
        raise DataError(f"{file}: iEEG of shape {data.shape} is not (samples, channels); download it again")
    samples, channels = data.shape
    eeg = np.empty((channels, samples), np.float32)
    for first in range(0, samples, STEP):
        eeg[:, first : first + STEP] = np.asarray(data[first : first + STEP], np.float64).T * 1e-6
    return eeg


def _read_prompts(data: Any, rate: float) -> list[Prompt]:
    """Words shown; the stream has the content of the screen at every sample."""
    shown = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in data[:]]
    prompts = []
    sample = 0
    for word, samples in groupby(text.strip() for text in shown):
        if word.lower() not in SILENCE:
            prompts.append((sample / rate, word))
        sample += sum(1 for _ in samples)
    return prompts


def _stretches(prompts: list[Prompt], last: float, parts: int) -> Iterator[tuple[float, float, str]]:
    """Onset, end and words of every stretch: from its first prompt to the first prompt of the next."""
    prompts = [prompt for prompt in prompts if prompt[0] < last]
    groups = np.array_split(np.arange(len(prompts)), min(parts or len(prompts), len(prompts)) or 1)
    edges = [prompts[group[0]][0] for group in groups if group.size] + [last]
    for (first, end), group in zip(pairwise(edges), groups, strict=False):
        yield first, end, " ".join(prompts[index][1] for index in group)


def _located(names: list[str], electrodes: Path | None) -> list[Channel]:
    """Channels in head coordinates, as far as their positions are known."""
    listed: dict[str, Position] = {}
    for row in read_csv(electrodes, ("name", "x", "y", "z"), "\t") if electrodes else ():
        x, y, z = (_metres(row[axis], origin) for axis, origin in zip("xyz", COMMISSURE, strict=True))
        listed[row["name"]] = (x, y, z)
    matched = match_names(names, listed, channel_key)
    places = {name: listed[matched[name]] if name in matched else UNKNOWN for name in names}
    unknown = [name for name, place in places.items() if not np.isfinite(place).all()]
    if unknown:
        logger.warning("%s: no position of %s", electrodes or "sEEG", ", ".join(unknown))
    return [Channel(name, "seeg", *places[name]) for name in names]


def _metres(cell: str, origin: float) -> float:
    try:
        return float(cell) * 1e-3 + origin
    except ValueError:  # n/a
        return math.nan
