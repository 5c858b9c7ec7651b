"""Reader of KARA ONE: EEG of imagined and spoken phonemes and words (doi 10.1109/ICASSP.2015.7178118)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import mne
import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Condition, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.electrodes.montage import electrode_positions
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.files.raw import BaseRaw, from_file
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.files.signal_files import signal_files
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.base import Reader, check_choice, missing_source

CONDITIONS: dict[str, Condition] = {
    "clearing": "rest",
    "stimulus": "listening",
    "thinking": "imagined",
    "speaking": "overt",
}
"""Condition of each phase of a trial, in their order."""
DEFAULT_PHASES = ("thinking", "speaking")
OTHERS = ("M1", "M2", "CB1", "CB2", "VEO", "HEO", "VEOG", "HEOG", "EKG", "ECG", "EMG", "TRIGGER", "STI 014")
"""Mastoids, two electrodes that no standard montage has, and channels other than EEG."""
MONTAGE = "standard_1005"

Span = tuple[int, int]
"""First and last sample, counted from 1."""

logger = logging.getLogger(__name__)


@dataclass
class KaraOne(Reader):
    """KARA ONE: 60-channel EEG of imagined and spoken phonemes and words (University of Toronto).

    Unpack every participant's archive; each folder with an epoch_inds.mat is a participant. The stimulus of each phase
    of a trial is the recording of the participant's speech in that trial. Clearing and prompt have no sound: the sounds
    of the prompts are not published. Muscles move during speaking: a decoder may use their activity in that phase.

    The layout is that of public loaders; the reader was tested on files written in that layout, not on published ones.
    The sounds are assumed to begin with the phase of speaking, as in those loaders; the dataset contains no information
    about this.

    Attributes:
        root: Folder that holds the participants' folders (MM05, ...), at any depth.
        subjects: Participants, e.g. [MM05,P02]; all if not given.
        phases: Phases to read: clearing, stimulus, thinking, speaking; thinking and speaking if not given.
        cleaned: Read the .set files, from which the authors removed eye movements after filtering, instead of the raw
            .cnt files.
    """

    name = "karaone"
    title = "KARA ONE"
    url = "http://www.cs.toronto.edu/~complingweb/data/karaOne/karaOne.html"
    citation = (
        "S. Zhao, F. Rudzicz, Classifying phonological categories in imagined and articulated speech, ICASSP 2015, "
        "pp. 992-996"
    )

    layout = "epoch_inds.mat beside a recording (.cnt, or .set if cleaned)"

    phases: list[str] | None = None
    cleaned: bool = False

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant."""
        check_choice("phases", self.phases, CONDITIONS)
        phases = tuple(dict.fromkeys(self.phases or DEFAULT_PHASES))
        suffix = ".set" if self.cleaned else ".cnt"
        tables = [file for file in root.rglob("*.mat") if file.name == "epoch_inds.mat"]  # also dangling links
        for table in sorted(tables, key=lambda file: file.parent.name):
            folder, subject = table.parent, table.parent.name
            signal = next(iter(sorted(folder.glob(f"*{suffix}"))), None)
            if signal is None:
                message = f"{folder}: holds no {suffix}; unpack the archive again"
                yield missing_source(subject, subject, "", "", message)
                continue
            labels = _labels_file(folder)
            wavs = sorted((folder / "kinect_data").glob("*.wav"))
            inputs = (*signal_files(signal), table, *([labels] if labels else []), *wavs)
            yield Source(subject, subject, "", "", inputs, partial(read_karaone, signal, subject, phases))

    def settings(self) -> dict[str, Any]:
        """The phases, which choose segments, and the kind of signal."""
        return {"phases": list(self.phases or DEFAULT_PHASES), "cleaned": self.cleaned}


def read_karaone(signal: Path, subject: str, phases: tuple[str, ...]) -> RawRecording:
    """Read the recording of one participant, and the segments of some phases."""
    folder = signal.parent
    raw = _read_signal(signal)
    trials = _read_trials(folder / "epoch_inds.mat")
    labels = _read_labels(folder)
    if len(labels) != len(trials):
        raise DataError(
            f"{folder}: {len(labels)} labels for {len(trials)} trials of epoch_inds.mat; leave {subject} out"
        )
    stimuli: dict[str, Sound] = {}
    for number, (trial, label) in enumerate(zip(trials, labels, strict=True)):
        wav = folder / "kinect_data" / f"{number}.wav"
        for phase in phases:
            span = trial.get(phase)
            spoken = phase in DEFAULT_PHASES
            if span is None or span[1] > raw.eeg.shape[1]:
                raw.lost.append(Lost("segment", f"{phase} has no usable samples", f"trial {number + 1}"))
                continue
            if spoken and not is_listed(wav):
                raw.lost.append(Lost("segment", f"{phase} without its sound", f"trial {number + 1}", missing=True))
                continue
            seconds = (span[1] - span[0] + 1) / raw.rate
            stimulus = ""
            if spoken:
                stimulus = f"{subject}_{number:03d}"
                stimuli[stimulus] = sound_at(wav)
                seconds = min(seconds, sound_seconds(wav))
            text = "" if "/" in label else label
            onset = (span[0] - 1) / raw.rate
            raw.segments.append(Segment(subject, onset, seconds, stimulus, 0.0, CONDITIONS[phase], label, text))
    for reason, count in Counter(lost.reason for lost in raw.lost).items():
        logger.warning("%s: %d of %d trials are left out: %s", folder, count, len(trials), reason)
    raw.segments.sort(key=lambda segment: segment.onset)
    raw.segments = raw.segments or [silent(subject, raw.eeg.shape[1] / raw.rate)]
    raw.stimuli = stimuli
    return raw


def _labels_file(folder: Path) -> Path | None:
    candidates = (folder / "kinect_data" / "labels.txt", folder / "all_features_simple.mat")
    return next((file for file in candidates if is_listed(file)), None)


def _read_signal(file: Path) -> RawRecording:
    """EEG of the cap at standard positions, in volts; the signal stays in the file."""
    with wrap_read_errors(file):
        raw: BaseRaw
        if file.suffix == ".set":
            raw = mne.io.read_raw_eeglab(file, verbose="ERROR")
        else:
            raw = mne.io.read_raw_cnt(file, verbose="ERROR")
        others = {name: "misc" for name in raw.ch_names if name.upper().strip() in OTHERS}
        raw.set_channel_types(others, on_unit_change="ignore", verbose="ERROR")
    found = from_file(raw, file)
    names = [channel.name for channel in found.channels]
    # the positions in the header are in an unknown coordinate frame
    positions = electrode_positions(names, MONTAGE, source=str(file)).tolist()
    found.channels = [replace(c, x=x, y=y, z=z) for c, (x, y, z) in zip(found.channels, positions, strict=True)]
    found.unrecorded = {}  # the authors count samples of the whole file
    return found


def _read_trials(file: Path) -> list[dict[str, Span]]:
    """Samples of the phases of every trial.

    ``speaking_inds`` has prompt and speech in turn, but in some files entries are doubled or missing. Each is
    therefore found by its time: the prompt between clearing and thinking, the speech before the next clearing.
    """
    content = read_mat(file, ["clearing_inds", "thinking_inds", "speaking_inds"])
    with wrap_read_errors(file):
        clearing, thinking, mixed = (
            [(int(first), int(last)) for first, last in np.reshape([np.ravel(pair) for pair in content[name]], (-1, 2))]
            for name in ("clearing_inds", "thinking_inds", "speaking_inds")
        )
    if len(clearing) != len(thinking) or not clearing:
        raise DataError(f"{file}: {len(clearing)} phases of clearing, {len(thinking)} of thinking; download it again")
    others = sorted({span for span in mixed if 0 < span[0] < span[1]})
    trials = []
    for rest, thought, (end, _) in zip(clearing, thinking, [*clearing[1:], (2**62, 0)], strict=True):
        trial: dict[str, Span] = {}
        if 0 < rest[0] < rest[1] <= thought[0] < thought[1] <= end:
            trial |= {"clearing": rest, "thinking": thought}
            for phase, first, last in (("stimulus", rest[1], thought[0]), ("speaking", thought[1], end)):
                within = [span for span in others if first <= span[0] and span[1] <= last]
                if len(within) == 1:
                    trial[phase] = within[0]
        trials.append(trial)
    return trials


def _read_labels(folder: Path) -> list[str]:
    """The prompt of every trial, ``/tiy/`` or ``gnaw``."""
    file = _labels_file(folder)
    if file is None:
        raise DataError(f"{folder / 'kinect_data' / 'labels.txt'}: missing; unpack the participant's archive again")
    with wrap_read_errors(file):
        if file.suffix == ".txt":
            lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            return [line.strip() for line in lines if line.strip()]
        prompts = read_mat(file, ["all_features"])["all_features"]["prompts"]
        return [str(prompt).strip() for prompt in np.ravel(prompts)]
