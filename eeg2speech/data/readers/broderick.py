"""Reader of Broderick 2018, EEG of people who listen to an audiobook (doi 10.1016/j.cub.2018.01.080)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
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
from eeg2speech.data.files.sounds import SUFFIXES
from eeg2speech.data.readers.arrays import Unit, array_recording, envelope_samples, with_envelope, with_sound
from eeg2speech.data.readers.base import Reader

PART = "Natural Speech"
"""Part of the deposit that this reader reads; the other parts have the same layout and other sounds."""
ENVELOPE_RATE = 128.0
"""In hertz, according to the names of the envelope files."""

logger = logging.getLogger(__name__)


@dataclass
class Broderick(Reader):
    """Broderick 2018, Natural Speech: 19 people, 128 electrodes at 128 Hz, 20 runs of an audiobook (CC0 1.0).

    Unpack Natural Speech.zip of doi 10.5061/dryad.070jc. It contains the envelopes of the sounds but not the sounds.
    Without your own copy of the sounds, the store contains the envelopes. EEG and sound start together. The mastoids
    are left out.

    The layout follows four public loaders; the reader was tested on files written in that layout, not on published
    ones. At least two of those loaders treat the EEG as microvolts; another multiplies it by a million. The authors of
    another loader note that the sound of run 15 deviates from the EEG near 170 s.

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
    layout = "EEG/Subject1/Subject1_Run1.mat or the like"

    sounds: Path | None = None
    unit: Unit = "uV"

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant and run."""
        root = next((f for f in (root, root / PART, root / PART.replace(" ", "_")) if (f / "EEG").is_dir()), root)
        folder = None if self.sounds is None else expanded(self.sounds)
        sounds = {} if folder is None else _find_sounds(folder)
        runs = {}
        for file in (root / "EEG").glob("*/*.mat"):
            if name := re.fullmatch(r"Subject(\d+)_Run(\d+)", file.stem):
                runs[int(name[1]), int(name[2])] = file
        for (subject, run), file in sorted(runs.items()):
            if folder is None:
                speech = root / "Stimuli" / "Envelopes" / f"audio{run}_128Hz.mat"
            else:
                speech = sounds.get(run, folder / f"audio{run}.wav")
            recording = f"sub-{subject:02d}_run-{run:02d}"
            inputs = (file, speech) if folder is not None or is_listed(speech) else (file,)
            load = partial(read_run, file, speech, recording, f"audio{run}", self.unit)
            yield Source(recording, f"{subject:02d}", "", f"{run:02d}", inputs, load)


def read_run(file: Path, speech: Path, recording: str, stimulus: str, unit: Unit) -> RawRecording:
    """Read one run: ``eegData``, (samples, 128), and its rate ``fs``, with a sound or the ``.mat`` of an envelope."""
    content = read_mat(file, ("eegData", "fs"))
    raw = array_recording(content["eegData"], get_rate(file, content, "fs"), "biosemi128", unit, file, "eegData")
    if speech.suffix.lower() != ".mat":
        return with_sound(raw, recording, stimulus, speech)
    if is_listed(speech):
        return with_envelope(raw, recording, stimulus, partial(read_envelope, speech))
    logger.warning("%s: neither a sound nor %s; the recording is kept without a sound", recording, speech)
    raw.lost = [Lost("sound", f"{speech.name} is missing", missing=True)]
    raw.segments = [Segment(recording, 0.0, raw.eeg.shape[1] / raw.rate, stimulus, 0.0, "listening")]
    return raw


def read_envelope(file: Path) -> tuple[NDArray[np.float64], float]:
    """Envelope of a run, (samples,), and its rate."""
    return envelope_samples(read_mat(file, ("env",))["env"], file, "env"), ENVELOPE_RATE


def _find_sounds(folder: Path) -> dict[int, Path]:
    """Sound by run."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (sounds); give the folder of audio1.wav to audio20.wav")
    named = [(re.fullmatch(r"audio(\d+)", f.name.partition(".")[0]), f) for f in sorted(folder.iterdir())]
    found = {int(name[1]): file for name, file in named if name and file.name.lower().endswith(SUFFIXES)}
    if not found:
        raise DataError(f"{folder}: holds no audio1.wav or the like (sounds); name them audio1.wav to audio20.wav")
    return found
