"""Reader of KUL: EEG of people who attend to one of two stories (doi 10.1109/TNSRE.2016.2571900)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import RawRecording, Segment, Sound, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import as_list, get_field, get_rate, read_mat
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.arrays import cap_channels, channels_first, find_cap, in_volts
from eeg2speech.data.readers.base import Reader, by_number, sound_folder

EARS = {"L": "left", "R": "right"}
NOTICE = (
    "the authors of KUL warn (January 2024) that windows of one trial in training and test give near-perfect but "
    "meaningless accuracy, because a network can identify the trial: split by stimulus or subject, never by window"
)

logger = logging.getLogger(__name__)


@dataclass
class KulAttention(Reader):
    """KUL: 16 people who attend to one of two Dutch stories, 64 electrodes (Zenodo 4004271, CC BY-NC-SA 4.0).

    Unpack S1.mat to S16.mat and stimuli.zip into one folder. The stimulus of a trial is the dry recording of the
    attended story; the label is the ear that it was played to. A repetition (rep_part1_track1) replays the start of
    its story and gets the stimulus of the story if the samples are equal.

    In January 2024 the authors published this notice: networks can identify the trial that a window of EEG comes from,
    and the attended talker does not change within a trial. If training and test contain random windows of the same
    trials, results are therefore near-perfect but meaningless. Split by stimulus or subject.

    Layout, unit (microvolts) and sides (story 1 left, 2 right) follow the authors' script and public loaders. The
    reader was tested on files written in that layout, v5 and v7.3, not on published ones.

    Attributes:
        root: Folder that holds S1.mat and so on.
        sounds: Folder of part1_track1_dry.wav and so on; stimuli in root if not given.
    """

    name = "kul"
    title = "KUL auditory attention"
    url = "https://doi.org/10.5281/zenodo.4004271"
    license = "CC BY-NC-SA 4.0 (according to copies of it)"
    citation = (
        "W. Biesmans, N. Das, T. Francart, A. Bertrand, Auditory-Inspired Speech Envelope Extraction Methods for "
        "Improved EEG-Based Auditory Attention Detection in a Cocktail Party Scenario, IEEE TNSRE 25(5), 2017; "
        "N. Das, T. Francart, A. Bertrand, Auditory Attention Detection Dataset KULeuven, Zenodo 2020"
    )

    layout = "S1.mat or the like"

    sounds: Path | None = None

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant, with a break between trials."""
        if not (files := by_number(root.glob("S*.mat"), r"S(\d+)")):
            return
        sounds = sound_folder(self.sounds, root, "stimuli")
        wavs = sorted(sounds.glob("*_dry.wav"))
        logger.warning("%s", NOTICE)
        for subject, file in files.items():
            load = partial(read_kul, file, f"sub-{subject}", sounds)
            yield Source(f"sub-{subject}", subject, "", "", (file, *wavs), load)

    def settings(self) -> dict[str, Any]:
        """The authors' notice, which stays with the store."""
        return {"notice": NOTICE}


def read_kul(file: Path, recording: str, sounds: Path) -> RawRecording:
    """Read one participant: the trials one after the other."""
    trials = as_list(read_mat(file, ("trials",))["trials"])
    pieces, breaks, segments, rates = [], [], [], set()
    stimuli: dict[str, Sound] = {}
    samples = 0
    channels = cap_channels("biosemi64")
    for trial in trials:
        eeg = channels_first(get_field(file, trial, "RawData", "EegData"), len(channels), file, "RawData.EegData")
        names = _channel_names(get_field(file, trial, "FileHeader"))
        if names:
            rows, channels = find_cap(names, "biosemi64", file)
            eeg = eeg[rows]
        rate = get_rate(file, trial, "FileHeader", "SampleRate")
        ear = EARS.get(str(get_field(file, trial, "attended_ear")).strip().upper()[:1])
        stories = get_field(file, trial, "stimuli")
        if ear is None or not isinstance(stories, list) or len(stories) != len(EARS):
            raise DataError(f"{file}: a trial attends to {ear} of {stories}, not to L or R of two; download it again")
        stimulus, sound, seconds = _story(str(stories[ear == "right"]), sounds, file)
        stimuli[stimulus] = sound_at(sound)
        duration = min(eeg.shape[1] / rate, seconds)
        segments.append(Segment(recording, samples / rate, duration, stimulus, 0.0, "listening", ear))
        breaks.append(samples)
        pieces.append(in_volts(eeg, "uV", file))
        samples += eeg.shape[1]
        rates.add(rate)
    if len(rates) != 1:
        raise DataError(f"{file}: {len(trials)} trials at {len(rates)} rates; download it again")
    return RawRecording(np.concatenate(pieces, axis=1), rates.pop(), channels, segments, breaks[1:], stimuli)


def _story(name: str, sounds: Path, named_in: Path) -> tuple[str, Path, float]:
    """Stimulus and sound of a story's file, and for how many seconds the file plays.

    Some trials play a story through head-related transfer functions; its sound is the dry recording all the same.
    """
    found = re.match(r"(rep_)?(part\d+_track\d+)", name.strip().lower().replace("-", "_"))
    if found is None:
        raise DataError(f"{named_in}: stimulus {name!r} is not named like part1_track1_dry.wav; download it again")
    whole = sounds / f"{found[2]}_dry.wav"
    if not found[1]:
        return found[2], whole, sound_seconds(whole)
    repeated = sounds / f"rep_{found[2]}_dry.wav"
    seconds = sound_seconds(repeated)
    if is_listed(whole) and _is_start(repeated, whole):
        return found[2], whole, seconds
    logger.warning("%s: is not the start of %s; treated as another stimulus", repeated, whole.name)
    return f"rep_{found[2]}", repeated, seconds


@lru_cache(maxsize=64)
def _is_start(repeated: Path, whole: Path) -> bool:
    """Whether a sound equals the start of another, sample by sample."""
    with wrap_read_errors(repeated):
        again, rate = soundfile.read(repeated, dtype="float32")
    with wrap_read_errors(whole):
        first, other_rate = soundfile.read(whole, frames=len(again), dtype="float32")
    return bool(rate == other_rate and np.array_equal(again, first))


def _channel_names(header: Any) -> list[str]:
    """Names of the channels; empty where the header has none."""
    channels = header.get("Channels") if isinstance(header, Mapping) else None
    if isinstance(channels, list):
        channels = {"Label": [channel.get("Label") for channel in channels if isinstance(channel, Mapping)]}
    names = channels.get("Label") if isinstance(channels, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []
