"""Reader of Broderick 2018, "Natural Speech": 128-channel EEG of people listening to an audiobook.

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
from eeg2speech.core.types import Envelope, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.files.sounds import SUFFIXES, sound_at, sound_seconds
from eeg2speech.data.readers.base import chosen, describe
from eeg2speech.data.readers.biosemi import Unit, cap_channels, channels_first, in_volts
from eeg2speech.data.store.store import Description

PART = "Natural Speech"
"""Part of the deposit that this reader reads; the others have the same layout and other sounds."""
ENVELOPE_RATE = 128.0
"""Hertz, as the names of the envelopes' files say."""

logger = logging.getLogger(__name__)


@dataclass
class Broderick:
    """Broderick 2018, Natural Speech: 19 people, 128 electrodes at 128 Hz, 20 runs of an audiobook (CC0 1.0).

    Get Natural Speech.zip from doi 10.5061/dryad.070jc and unpack it. The sounds are not in it, only their envelopes:
    without your own copy of them the store holds envelopes. The layout follows four public loaders; the reader was
    tested on files written that way, not on published ones. EEG and sound start together. The mastoids are left out.
    At least two of those loaders take the EEG to be in microvolts; another multiplies it by a million.
    Another loader's authors note that the sound of run 15 departs from the EEG near 170 s.

    Attributes:
        root: Folder that holds EEG and Stimuli, or the folder above it.
        subjects: Participants, e.g. [1,2]; all if not given.
        sounds: Folder of your own copy of the sounds, audio1.wav to audio20.wav.
        unit: Of the EEG, uV or V.
    """

    root: Path
    subjects: list[str | int] | None = None
    sounds: Path | None = None
    unit: Unit = "uV"

    def sources(self) -> list[Source]:
        """One recording per participant and run."""
        root = _find_root(expanded(self.root))
        runs: dict[str, dict[int, Path]] = {}
        for file in sorted((root / "EEG").glob("*/*.mat")):
            name = re.fullmatch(r"Subject(\d+)_Run(\d+)", file.stem)
            if name:
                runs.setdefault(f"{int(name[1]):02d}", {})[int(name[2])] = file
        if not runs:
            raise DataError(f"{root / 'EEG'}: holds no Subject1/Subject1_Run1.mat or the like; unpack the EEG anew")
        sounds = None if self.sounds is None else _find_sounds(expanded(self.sounds))
        sources = []
        for subject in chosen(sorted(runs), self.subjects, root / "EEG"):
            for run, file in sorted(runs[subject].items()):
                recording = f"sub-{subject}_run-{run:02d}"
                heard = root / "Stimuli" / "Envelopes" / f"audio{run}_128Hz.mat"
                if sounds is not None:
                    heard = sounds.get(run, expanded(self.sounds) / f"audio{run}.wav")  # type: ignore[arg-type]
                inputs = (file, *([heard] if sounds is not None or is_listed(heard) else []))
                load = partial(read_run, file, heard, recording, f"audio{run}", self.unit)
                sources.append(Source(recording, subject, "", f"{run:02d}", inputs, load))
        return sources

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        return describe(
            "Broderick 2018 Natural Speech",
            source="https://doi.org/10.5061/dryad.070jc",
            license="CC0 1.0",
            citation="M. P. Broderick, A. J. Anderson, G. M. Di Liberto, M. J. Crosse, E. C. Lalor, "
            "Electrophysiological Correlates of Semantic Dissimilarity Reflect the Comprehension of Natural, "
            "Narrative Speech, Current Biology 28(5), 2018",
            reader="broderick",
            unit=self.unit,
        )


def read_run(file: Path, heard: Path, recording: str, stimulus: str, unit: Unit) -> RawRecording:
    """Read one run of one participant.

    Args:
        file: ``eegData``, (samples, 128), and its rate ``fs``.
        heard: The sound, or where there is none the ``.mat`` file of its envelope.
        recording: Id for the segment.
        stimulus: Id of the sound.
        unit: Of the EEG.

    Raises:
        DataError: A file is damaged, or the sound is missing.
    """
    content = read_mat(file, ("eegData", "fs"))
    channels = cap_channels("biosemi128")
    eeg = in_volts(channels_first(content["eegData"], len(channels), file, "eegData"), unit, file)
    with wrap_read_errors(file):
        rate = float(content["fs"])
    if not 0 < rate < np.inf:
        raise DataError(f"{file}: sampled at fs={rate:g} Hz; download it again")
    seconds = eeg.shape[1] / rate
    stimuli: dict[str, Sound] = {}
    envelopes: dict[str, Envelope] = {}
    if heard.suffix.lower() != ".mat":
        stimuli[stimulus] = sound_at(heard)
        seconds = min(seconds, sound_seconds(heard))
    elif is_listed(heard):
        envelopes[stimulus] = partial(_envelope_at_rate, heard)
        seconds = min(seconds, len(read_envelope(heard)) / ENVELOPE_RATE)
    else:
        logger.warning("%s: neither a sound nor %s; the recording serves only what needs neither", recording, heard)
    lost = [] if stimuli or envelopes else [Lost("sound", f"{heard.name} is missing", missing=True)]
    segment = Segment(recording, 0.0, seconds, stimulus, 0.0, "listening")
    return RawRecording(eeg, rate, channels, [segment], stimuli=stimuli, envelopes=envelopes, lost=lost)


def read_envelope(file: Path) -> NDArray[np.float64]:
    """Envelope of a run, (samples,) at 128 Hz.

    Raises:
        DataError: It is missing, damaged, or no row of finite numbers.
    """
    values = np.asarray(read_mat(file, ("env",))["env"])
    if values.dtype.kind not in "fiu" or values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise DataError(f"{file}: env is {values.dtype} of shape {values.shape}, not finite samples; download it again")
    return values.astype(np.float64)


def _envelope_at_rate(file: Path) -> tuple[NDArray[np.floating], float]:
    return read_envelope(file), ENVELOPE_RATE


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
