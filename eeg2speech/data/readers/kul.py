"""Reader of KUL: EEG of people attending to one of two stories.

Reference: Biesmans et al. 2017, Auditory-Inspired Speech Envelope Extraction Methods for Improved EEG-Based Auditory
Attention Detection in a Cocktail Party Scenario, doi 10.1109/TNSRE.2016.2571900.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording, Segment, Sound, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.attention import number_at, part, sound_folder, subject_files, subject_number, wanted
from eeg2speech.data.readers.base import describe
from eeg2speech.data.readers.biosemi import cap_channels, channels_first, find_cap, in_volts
from eeg2speech.data.store.store import Description

EARS = {"L": "left", "R": "right"}
NOTICE = (
    "the authors of KUL warn (January 2024) that windows of one trial in training and test give near-perfect but "
    "meaningless accuracy, as a network recognises the trial: split by stimulus or subject, never by window"
)


logger = logging.getLogger(__name__)


@dataclass
class KulAttention:
    """KUL: 16 people attending to one of two Dutch stories, 64 electrodes (Zenodo 4004271, copies say CC BY-NC-SA 4.0).

    Unpack S1.mat to S16.mat and stimuli.zip into one folder. The stimulus of a trial is the dry recording of the
    attended story; the label is the ear it was played to. The authors' notice of January 2024: networks recognise the
    trial that a window of EEG is from, and attention stays with one talker throughout a trial, so random windows of
    the same trials in training and test give near-perfect results that mean nothing. Split by stimulus or subject.

    A repetition (rep_part1_track1) replays the start of its story, so it gets the story's stimulus once the samples
    are found equal. Layout, EEG in microvolts, and story 1 left and 2 right follow the authors' script and
    public loaders; the reader was tested on files written that way, v5 and v7.3, not on published ones.

    Attributes:
        root: Folder that holds S1.mat and so on.
        subjects: Participants, e.g. [S1,S2] or [1,2]; all if not given.
        sounds: Folder of part1_track1_dry.wav and so on; stimuli in root if not given.
    """

    root: Path
    subjects: list[str | int] | None = None
    sounds: Path | None = None

    def sources(self) -> list[Source]:
        """One recording per participant, with a break between trials."""
        root = expanded(self.root)
        files = subject_files(root, "give the folder of S1.mat to S16.mat")
        sounds = sound_folder(self.sounds, root, "stimuli")
        wavs = tuple(sorted(sounds.glob("*_dry.wav")))
        logger.warning("%s", NOTICE)
        return [
            Source(
                f"sub-{subject}", subject, "", "", (files[subject], *wavs), partial(read_kul, files[subject], sounds)
            )
            for subject in wanted(files, self.subjects, root)
        ]

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        return describe(
            "KUL auditory attention",
            source="https://doi.org/10.5281/zenodo.4004271",
            license="CC BY-NC-SA 4.0 (according to copies of it)",
            citation="W. Biesmans, N. Das, T. Francart, A. Bertrand, Auditory-Inspired Speech Envelope Extraction "
            "Methods for Improved EEG-Based Auditory Attention Detection in a Cocktail Party Scenario, IEEE TNSRE "
            "25(5), 2017; N. Das, T. Francart, A. Bertrand, Auditory Attention Detection Dataset KULeuven, Zenodo 2020",
            reader="kul",
            notice=NOTICE,
        )


def read_kul(file: Path, sounds: Path) -> RawRecording:
    """Read one participant of KUL.

    Args:
        file: ``trials``, a cell of structures.
        sounds: Folder of the dry stories.

    Raises:
        DataError: The file is damaged, or a sound is missing.
    """
    content = read_mat(file, ("trials",))["trials"]
    trials = content if isinstance(content, list) else [content]
    recording = f"sub-{subject_number(file):02d}"
    pieces, breaks, segments, rates = [], [], [], set()
    stimuli: dict[str, Sound] = {}
    samples = 0
    channels = cap_channels("biosemi64")
    for trial in trials:
        eeg = channels_first(part(file, trial, "RawData", "EegData"), len(channels), file, "RawData.EegData")
        names = _labels(part(file, trial, "FileHeader"))
        if names:
            rows, channels = find_cap(names, "biosemi64", file)
            eeg = eeg[rows]
        rate = number_at(file, trial, "FileHeader", "SampleRate")
        ear = EARS.get(str(part(file, trial, "attended_ear")).strip().upper()[:1])
        stories = part(file, trial, "stimuli")
        if ear is None or not isinstance(stories, list) or len(stories) != len(set(EARS.values())):
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
    """Stimulus that a story's file is of, its sound, and for how many seconds it was played.

    Whether it was played dry or through a head's transfer functions, the dry recording is its sound.
    """
    found = re.match(r"(rep_)?(part\d+_track\d+)", name.strip().lower().replace("-", "_"))
    if found is None:
        raise DataError(f"{named_in}: stimulus {name!r} is not named like part1_track1_dry.wav; download it again")
    whole = sounds / f"{found[2]}_dry.wav"
    if not found[1]:
        return found[2], whole, sound_seconds(whole)
    repeated = sounds / f"rep_{found[2]}_dry.wav"
    seconds = sound_seconds(repeated)
    if is_listed(whole) and _replays(repeated, whole):
        return found[2], whole, seconds
    logger.warning("%s: is not the start of %s; taken for another sound", repeated, whole.name)
    return f"rep_{found[2]}", repeated, seconds


@lru_cache(maxsize=64)
def _replays(repeated: Path, whole: Path) -> bool:
    """True if a sound is the start of another, sample by sample."""
    with wrap_read_errors(repeated):
        again, rate = soundfile.read(repeated, dtype="float32")
    with wrap_read_errors(whole):
        first, other_rate = soundfile.read(whole, frames=len(again), dtype="float32")
    return bool(rate == other_rate and np.array_equal(again, first))


def _labels(header: Any) -> list[str]:
    """Names of the channels; none where the header has none."""
    channels = header.get("Channels") if isinstance(header, Mapping) else None
    if isinstance(channels, list):
        channels = {"Label": [channel.get("Label") for channel in channels if isinstance(channel, Mapping)]}
    names = channels.get("Label") if isinstance(channels, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []
