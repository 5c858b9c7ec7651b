"""Reader of Broderick 2018, "Natural Speech": 128-channel EEG of people who listen to an audiobook.

Reference: Broderick et al. 2018, Electrophysiological Correlates of Semantic Dissimilarity Reflect the Comprehension
of Natural, Narrative Speech, doi 10.1016/j.cub.2018.01.080.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Lost, RawRecording, Segment, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import get_rate, read_mat
from eeg2speech.data.files.sounds import SUFFIXES, sound_at, sound_seconds
from eeg2speech.data.readers.arrays import Unit, cap_channels, channels_first, envelope_samples, in_volts
from eeg2speech.data.readers.base import Reader, select

PART = "Natural Speech"
"""Part of the deposit that this reader reads; the other parts have the same layout and other sounds."""
ENVELOPE_RATE = 128.0
"""Hertz, as the names of the envelopes' files say."""

logger = logging.getLogger(__name__)


@dataclass
class Broderick(Reader):
    """Broderick 2018, Natural Speech: 19 people, 128 electrodes at 128 Hz, 20 runs of an audiobook (CC0 1.0).

    Unpack Natural Speech.zip of doi 10.5061/dryad.070jc. It holds the envelopes of the sounds but not the sounds:
    without your own copy of these the store holds envelopes. EEG and sound start together. The mastoids are left out.

    The layout follows four public loaders; the reader was tested on files written in that layout, not on published
    ones. At least two of those loaders treat the EEG as microvolts; another multiplies it by a million. The authors
    of another loader note that the sound of run 15 departs from the EEG near 170 s.

    Attributes:
        root: Folder that holds EEG and Stimuli, or the folder above it.
        sounds: Folder of your own copy of the sounds, audio1.wav to audio20.wav.
        unit: Unit of the EEG, uV or V.
    """

    name = "broderick"
    title = "Broderick 2018 Natural Speech"
    url = "https://doi.org/10.5061/dryad.070jc"
    license = "CC0 1.0"
    citation = (
        "M. P. Broderick, A. J. Anderson, G. M. Di Liberto, M. J. Crosse, E. C. Lalor, Electrophysiological "
        "Correlates of Semantic Dissimilarity Reflect the Comprehension of Natural, Narrative Speech, Current Biology "
        "28(5), 2018"
    )
    selections = (*Reader.selections, "sounds")

    sounds: Path | None = None
    unit: Unit = "uV"

    def sources(self) -> list[Source]:
        """One recording per participant and run."""
        root = _find_root(expanded(self.root))
        runs: dict[str, dict[int, Path]] = {}
        for file in sorted((root / "EEG").glob("*/*.mat")):
            if name := re.fullmatch(r"Subject(\d+)_Run(\d+)", file.stem):
                runs.setdefault(f"{int(name[1]):02d}", {})[int(name[2])] = file
        if not runs:
            raise DataError(f"{root / 'EEG'}: holds no Subject1/Subject1_Run1.mat or the like; unpack the EEG again")
        folder = None if self.sounds is None else expanded(self.sounds)
        sounds = {} if folder is None else _find_sounds(folder)
        sources = []
        for subject in select(sorted(runs), self.subjects, root / "EEG"):
            for run, file in sorted(runs[subject].items()):
                if folder is None:
                    speech = root / "Stimuli" / "Envelopes" / f"audio{run}_128Hz.mat"
                else:
                    speech = sounds.get(run, folder / f"audio{run}.wav")
                recording = f"sub-{subject}_run-{run:02d}"
                inputs = (file, speech) if folder is not None or is_listed(speech) else (file,)
                load = partial(read_run, file, speech, recording, f"audio{run}", self.unit)
                sources.append(Source(recording, subject, "", f"{run:02d}", inputs, load))
        return sources


def read_run(file: Path, speech: Path, recording: str, stimulus: str, unit: Unit) -> RawRecording:
    """Read one run of one participant.

    Args:
        file: ``eegData``, (samples, 128), and its rate ``fs``.
        speech: The sound, or the ``.mat`` file of its envelope.
        recording: Id of the recording.
        stimulus: Id of the sound.
        unit: Unit of the EEG.

    Raises:
        DataError: A file is damaged, or the sound is missing.
    """
    content = read_mat(file, ("eegData", "fs"))
    channels = cap_channels("biosemi128")
    eeg = in_volts(channels_first(content["eegData"], len(channels), file, "eegData"), unit, file)
    rate = get_rate(file, content, "fs")
    raw = RawRecording(eeg, rate, channels, [])
    seconds = eeg.shape[1] / rate
    if speech.suffix.lower() != ".mat":
        raw.stimuli = {stimulus: sound_at(speech)}
        seconds = min(seconds, sound_seconds(speech))
    elif is_listed(speech):
        raw.envelopes = {stimulus: partial(read_envelope, speech)}
        seconds = min(seconds, len(read_envelope(speech)[0]) / ENVELOPE_RATE)
    else:
        logger.warning("%s: neither a sound nor %s; the recording is kept without a sound", recording, speech)
        raw.lost = [Lost("sound", f"{speech.name} is missing", missing=True)]
    raw.segments = [Segment(recording, 0.0, seconds, stimulus, 0.0, "listening")]
    return raw


def read_envelope(file: Path) -> tuple[NDArray[np.float64], float]:
    """Envelope of a run, (samples,), and its rate.

    Raises:
        DataError: The file is missing or damaged, or holds no row of finite numbers.
    """
    return envelope_samples(read_mat(file, ("env",))["env"], file, "env"), ENVELOPE_RATE


def _find_root(root: Path) -> Path:
    for folder in (root, root / PART, root / PART.replace(" ", "_")):
        if (folder / "EEG").is_dir():
            return folder
    raise DataError(f"{root}: holds neither EEG nor {PART}/EEG; give the folder that {PART}.zip unpacks to")


def _find_sounds(folder: Path) -> dict[int, Path]:
    """Sound by run."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (sounds); give the folder of audio1.wav to audio20.wav")
    named = [(re.fullmatch(r"audio(\d+)", f.name.partition(".")[0]), f) for f in sorted(folder.iterdir())]
    found = {int(name[1]): file for name, file in named if name and file.name.lower().endswith(SUFFIXES)}
    if not found:
        raise DataError(f"{folder}: holds no audio1.wav or the like (sounds); name them audio1.wav to audio20.wav")
    return found
