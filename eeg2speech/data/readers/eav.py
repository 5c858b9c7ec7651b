"""Reader of EAV: EEG and speech of conversations in five emotions (doi 10.1038/s41597-024-03838-4)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Condition, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.electrodes.montage import electrode_positions
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.files.raw import from_array
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.base import Reader, by_number, check_choice

ELECTRODES = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4", "T8"),
    *("CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "PO9", "O1", "Oz", "O2", "PO10"),
)
"""In the order of the file, which does not name them."""
MONTAGE = "standard_1005"
RATE = 500.0
EMOTIONS = ("Neutral", "Sadness", "Anger", "Happiness", "Calmness")
TASKS: dict[str, Condition] = {"listening": "listening", "speaking": "overt"}
"""The rows of the label table are each emotion in turn, first listening and then speaking."""
SOUND = re.compile(r"(\d+)_Trial_\d+_Speaking_([A-Za-z]+?)(_aud)?\.wav", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass
class Eav(Reader):
    """EAV: 30-channel EEG of people who answer an actor in five emotions (doi 10.5281/zenodo.10205702).

    The published sound is the participant's own speech, so the EEG contains muscle activity wherever there is sound:
    a decoder may use the muscles.

    Names of files and variables are those of the authors' loaders (nubcico/EAV). The order of the electrodes, the order
    of the rows of the label table, and the assignment of trial n to the sound whose name begins with n follow public
    loaders. Amplitudes are treated as microvolts; the files do not name a unit. The reader was tested on files written
    in that layout, not on published ones.

    Attributes:
        root: Folder that holds subject1, subject2, ...
        tasks: Tasks to read: listening, speaking; speaking if not given, because listening is published without sound.
    """

    name = "eav"
    title = "EAV"
    url = "https://doi.org/10.5281/zenodo.10205702"
    citation = (
        "M.-H. Lee, A. Shomanov, B. Begim, Z. Kabidenova, A. Nyssanbay, A. Yazici, S.-W. Lee, EAV: EEG-Audio-Video "
        "Dataset for Emotion Recognition in Conversational Contexts, Sci. Data 11, 1026, 2024"
    )

    layout = "folders subject1, subject2, ..."

    tasks: list[str] | None = None

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant."""
        check_choice("tasks", self.tasks, TASKS)
        tasks = tuple(dict.fromkeys(self.tasks or ["speaking"]))
        if "speaking" in tasks:
            logger.warning("EAV: participants speak during the EEG; a decoder may use muscle activity")
        folders = by_number((folder for folder in root.iterdir() if folder.is_dir()), r"subject(\d+)")
        for number, folder in folders.items():
            recording = f"subject{number}"
            eeg, table = (_file_in(folder / "EEG", int(number), end) for end in ("eeg.mat", "eeg_label.mat"))
            sounds = tuple(sorted((folder / "Audio").glob("*.wav")))
            load = partial(read_eav, eeg, table, sounds, recording, tasks)
            yield Source(recording, recording, "", "", (eeg, table, *sounds), load)

    def settings(self) -> dict[str, Any]:
        """The tasks, which choose segments."""
        return {"tasks": list(self.tasks or ["speaking"])}


def read_eav(eeg: Path, table: Path, sounds: tuple[Path, ...], recording: str, tasks: tuple[str, ...]) -> RawRecording:
    """Read one participant: the trials one after the other, with a break between them."""
    signal = _read_signal(eeg)
    samples, _, trials = signal.shape
    labels = _read_labels(table, trials)
    continuous = np.ascontiguousarray(signal.transpose(1, 2, 0), np.float32).reshape(len(ELECTRODES), -1)
    continuous *= 1e-6  # in place, as the signal is large
    raw = from_array(continuous, RATE, ELECTRODES, electrode_positions(ELECTRODES, MONTAGE, source=str(eeg)))
    raw.breaks = [samples * trial for trial in range(1, trials)]
    sound_by_trial = _sounds_by_trial(sounds, labels)
    stimuli: dict[str, Sound] = {}
    for trial, (task, emotion) in enumerate(labels):
        if task not in tasks:
            continue
        seconds, stimulus = samples / RATE, ""
        if task == "speaking":
            if (sound := sound_by_trial.get(trial)) is None:
                name = f"trial {trial + 1}"
                raw.lost.append(Lost("segment", "speaking without its sound in Audio", name, seconds, missing=True))
                continue
            stimulus = f"{recording}_{trial + 1:03d}"
            stimuli[stimulus] = sound_at(sound)
            seconds = min(seconds, sound_seconds(sound))
        onset = trial * samples / RATE
        raw.segments.append(Segment(recording, onset, seconds, stimulus, 0.0, TASKS[task], emotion.lower()))
    if raw.lost:
        logger.warning("%s: %d trials of speaking have no sound in Audio; left out", eeg, len(raw.lost))
    raw.segments = raw.segments or [silent(recording, continuous.shape[1] / RATE)]
    raw.stimuli = stimuli
    return raw


def _file_in(folder: Path, number: int, end: str) -> Path:
    """The file of a participant, whose number some releases pad with a zero."""
    names = (f"subject{number}_{end}", f"subject{number:02d}_{end}")
    return next((folder / name for name in names if is_listed(folder / name)), folder / names[0])


def _read_signal(file: Path) -> NDArray[np.floating]:
    """Microvolts, (samples, channels, trials)."""
    content = read_mat(file)
    signal = next((content[name] for name in ("seg1", "seg") if isinstance(content.get(name), np.ndarray)), None)
    if signal is None or signal.ndim != 3 or signal.shape[1] != len(ELECTRODES):
        held = ", ".join(f"{k} {np.shape(v)}" for k, v in content.items() if not k.startswith("__")) or "nothing"
        raise DataError(f"{file}: holds {held}, not seg1 of (samples, {len(ELECTRODES)}, trials); download it again")
    return np.asarray(signal)


def _read_labels(file: Path, trials: int) -> list[tuple[str, str]]:
    """Task and emotion of every trial."""
    label = read_mat(file, ["label"])["label"]
    with wrap_read_errors(file):
        one_hot = np.asarray(label, np.float64)
        rows = len(EMOTIONS) * len(TASKS)
        if one_hot.shape != (rows, trials) or not ((one_hot != 0).sum(axis=0) == 1).all():
            raise DataError(f"{file}: label of {one_hot.shape} is not one-hot ({rows}, {trials}); download it again")
        classes = (one_hot != 0).argmax(axis=0).tolist()
    return [(tuple(TASKS)[row % len(TASKS)], EMOTIONS[row // len(TASKS)]) for row in classes]


def _sounds_by_trial(sounds: tuple[Path, ...], labels: list[tuple[str, str]]) -> dict[int, Path]:
    """Sound by trial, counted from 0; the emotion in a sound's name has to agree with the label table."""
    found: dict[int, Path] = {}
    for file in sounds:
        match = SOUND.fullmatch(file.name)
        if match is None:
            logger.warning("%s: not named like a sound of EAV; left out", file)
            continue
        trial = int(match[1]) - 1
        if not 0 <= trial < len(labels) or labels[trial] != ("speaking", match[2].capitalize()):
            held = " ".join(labels[trial]) if 0 <= trial < len(labels) else f"only {len(labels)} trials"
            raise DataError(f"{file}: the label table has {held} there; download this participant again")
        found[trial] = file
    return found
