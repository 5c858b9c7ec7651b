"""Reader of SparrKULee: EEG of people who listen to Dutch stories and podcasts (doi 10.3390/data9080094)."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Lost, RawRecording, Segment, Source
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.packed import read_packed
from eeg2speech.data.files.raw import from_mne
from eeg2speech.data.files.reading import inside, read_csv, wrap_read_errors
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.arrays import array_recording, envelope_samples, find_cap, with_envelope, with_sound
from eeg2speech.data.readers.base import Reader

PUBLISHED_RATE = 64.0
PUBLISHED_NAME = re.compile(r"(?P<run>sub-(?P<subject>[^_]+)_.+)_desc-preproc-audio-(?P<stimulus>.+)_eeg")
UNALIGNED = (
    "sub-006_ses-shortstories01_task-listeningActive_run-06",
    "sub-017_ses-shortstories01_task-listeningActive_run-03",
    "sub-048_ses-varyingStories05_task-listeningActive_run-04",
)
"""Recordings without usable triggers, as the dataset's README lists them: the onset of their sound is unknown."""
NONE = ("", "n/a")

logger = logging.getLogger(__name__)


@dataclass
class SparrKULee(Reader):
    """SparrKULee: 85 people, 64 electrodes at 8192 Hz, Dutch stories and podcasts (CC BY-NC 4.0; some on request).

    Download it from doi 10.48804/K3VSND. The raw recordings are packed (.bdf.gz). One at a time is unpacked into the
    folder for temporary files (TMPDIR), which takes one to three gigabytes. The onsets of sounds are those of
    events.tsv, rounded to 10 ms. Three recordings without usable triggers are left out.

    With published, the preprocessed recordings of the dataset are read instead of the raw recordings. They have a rate
    of 64 Hz, are in microvolts with average reference, and start with the sound; artefacts and the drift between the
    clocks were removed. If a sound is missing, its published envelope is used.

    The reader was tested on published files for events and for the preprocessed EEG and envelope of two participants.
    Raw recordings were tested only with files written in that layout. Stimuli named _shifted or _artefact are other
    versions of the story with that number: keep them in the same split as the story.

    Attributes:
        published: Read the published preprocessed recordings instead of the raw recordings.
    """

    name = "sparrkulee"
    title = "SparrKULee"
    url = "https://doi.org/10.48804/K3VSND"
    license = "CC BY-NC 4.0"
    citation = (
        "B. Accou, L. Bollens, M. Gillis, W. Verheijen, H. Van hamme, T. Francart, SparrKULee: A Speech-Evoked "
        "Auditory Response Repository from KU Leuven, Containing the EEG of 85 Participants, Data 9(8), 2024"
    )

    layout = "sub-*/ses-*/eeg/*_eeg.bdf.gz, or derivatives/**/sub-*_desc-preproc-audio-*_eeg.npy for published"

    published: bool = False

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per run; with ``published``, one per run and sound."""
        return _published(root) if self.published else _raw(root)


def _raw(root: Path) -> Iterator[Source]:
    files = {f.name.removesuffix(".gz").removesuffix("_eeg.bdf"): f for f in root.glob("sub-*/ses-*/eeg/*_eeg.bdf*")}
    left_out = sorted(files.keys() & set(UNALIGNED))
    if left_out:
        logger.warning("%s: left out, as their triggers do not suffice: %s", root, ", ".join(left_out))
    for recording in sorted(files.keys() - set(UNALIGNED)):
        file, events = files[recording], _events_file(root, recording)
        inputs = (file, *([events, *_sounds_named(events, root)] if is_listed(events) else []))
        subject, session, run = (_entity(recording, key) for key in ("sub", "ses", "run"))
        yield Source(recording, subject, session, run, inputs, partial(read_raw_run, file, root, recording))


def _published(root: Path) -> Iterator[Source]:
    for file in sorted((root / "derivatives").rglob("sub-*_desc-preproc-audio-*_eeg.npy")):
        if (name := PUBLISHED_NAME.fullmatch(file.stem)) is None:
            continue
        run, stimulus = name["run"], name["stimulus"]
        speech, events = _sound_of(root, stimulus) or _envelope_of(root, stimulus), _events_file(root, run)
        inputs = (file, *([speech] if speech else []), *([events] if is_listed(events) else []))
        recording = f"{run}_{stimulus}"
        load = partial(read_published, file, root, recording, run, stimulus)
        yield Source(recording, name["subject"], _entity(run, "ses"), _entity(run, "run"), inputs, load)


def read_raw_run(file: Path, root: Path, recording: str) -> RawRecording:
    """Read one raw recording. The signal stays in an unpacked copy, which is deleted with the signal."""
    events = _events_file(root, recording)
    resting = "rest" in recording.lower() and not is_listed(events)
    segments, stimuli = [], {}
    for row in [] if resting else _read_events(events):
        sound = inside(root / "stimuli", row["stim_file"], events)
        segment = _segment(row, events, recording)
        stimuli[segment.stimulus] = sound_at(sound)
        segments.append(replace(segment, duration=min(segment.duration, sound_seconds(sound))))
    raw = read_packed(file, partial(_read_bdf, packed=file))
    seconds = raw.eeg.shape[1] / raw.rate
    late = next((segment for segment in segments if segment.onset >= seconds), None)
    if late is not None:
        raise DataError(f"{events}: onset {late.onset:g} s lies outside {file.name} of {seconds:.1f} s; leave it out")
    segments = [replace(segment, duration=min(segment.duration, seconds - segment.onset)) for segment in segments]
    lost = []
    if not segments and not resting:
        logger.warning("%s: has no rows of sounds; the recording is kept without a sound", events)
        lost = [Lost("sound", "its events.tsv has no sounds")]
    return replace(raw, segments=segments or [silent(recording, seconds)], stimuli=stimuli, lost=lost)


def read_published(file: Path, root: Path, recording: str, run: str, stimulus: str) -> RawRecording:
    """Read the published preprocessing of one sound in one run: microvolts at 64 Hz, (64, samples)."""
    with wrap_read_errors(file):
        array = np.load(file, allow_pickle=False)
    raw = array_recording(array, PUBLISHED_RATE, "biosemi64", "uV", file, "EEG")
    events = _events_file(root, run)
    rows = _read_events(events) if is_listed(events) else []
    label = next((_label(row) for row in rows if _stimulus(row) == stimulus), "")
    if sound := _sound_of(root, stimulus):
        return with_sound(raw, recording, stimulus, sound, label)
    if envelope := _envelope_of(root, stimulus):
        return with_envelope(raw, recording, stimulus, partial(read_envelope, envelope), label)
    raise DataError(f"{root}: neither a sound nor an envelope of {stimulus}; download stimuli or derivatives")


def read_envelope(file: Path) -> tuple[NDArray[np.float64], float]:
    """A published envelope, (samples,), and its rate."""
    with wrap_read_errors(file):
        values = np.load(file, allow_pickle=False)
    return envelope_samples(values, file), PUBLISHED_RATE


def _entity(name: str, key: str) -> str:
    value = re.search(rf"(?:^|_){key}-([^_]+)", name)
    return value[1] if value else ""


def _read_bdf(file: Path, packed: Path) -> RawRecording:
    """The 64 electrodes, in the order of the amplifier's inputs, left in the file."""
    with wrap_read_errors(packed):
        raw = mne.io.read_raw_bdf(file, preload=False, verbose="ERROR")
    rows, electrodes = find_cap(raw.ch_names, "biosemi64", packed)
    names = [raw.ch_names[row] for row in rows]
    with wrap_read_errors(packed):
        raw.pick(names, verbose="ERROR")
        raw.set_channel_types(dict.fromkeys(names, "eeg"), verbose="ERROR")
    return replace(from_mne(raw, lazily=True), channels=electrodes)


def _events_file(root: Path, run: str) -> Path:
    """Table of events of a raw recording."""
    return root / f"sub-{_entity(run, 'sub')}" / f"ses-{_entity(run, 'ses')}" / "eeg" / f"{run}_events.tsv"


def _sounds_named(events: Path, root: Path) -> list[Path]:
    """Sounds that a table names; empty if the table is damaged, which is reported when the recording is read."""
    try:
        return sorted({inside(root / "stimuli", row["stim_file"], events) for row in _read_events(events)})
    except DataError:
        return []


def _read_events(file: Path) -> list[dict[str, str]]:
    """Rows that belong to a sound."""
    rows = read_csv(file, ("duration", "onset", "stim_file"), "\t")
    rows = [{name: cell.strip() for name, cell in row.items()} for row in rows]
    return [row for row in rows if row["stim_file"] not in NONE]


def _stimulus(row: dict[str, str]) -> str:
    """Id of a sound: ``eeg/audiobook_1.npz.gz`` is ``audiobook_1``."""
    path = row["stim_file"].replace("\\", "/").removeprefix("eeg/")
    return path.removesuffix(".gz").rpartition(".")[0].replace("/", "_") or path


def _label(row: dict[str, str]) -> str:
    """Background of the sound: ``in_noise_-4dB``, ``silence``, or nothing."""
    condition, snr = (row.get(key, "") for key in ("condition", "snr"))
    shown = "" if condition in NONE else condition
    return shown if snr in NONE else f"{shown}_{snr}dB".removeprefix("_")


def _segment(row: dict[str, str], file: Path, recording: str) -> Segment:
    try:
        onset, duration = float(row["onset"]), float(row["duration"])
    except ValueError as error:
        raise DataError(f"{file}: {error}; download it again") from error
    if not (0 <= onset < math.inf and 0 < duration < math.inf):
        raise DataError(f"{file}: onset {onset:g} s or duration {duration:g} s is impossible; download it again")
    return Segment(recording, onset, duration, _stimulus(row), 0.0, "listening", _label(row))


def _sound_of(root: Path, stimulus: str) -> Path | None:
    files = (root / "stimuli" / "eeg" / f"{stimulus}{suffix}" for suffix in (".npz.gz", ".npz", ".wav"))
    return next((file for file in files if is_listed(file)), None)


def _envelope_of(root: Path, stimulus: str) -> Path | None:
    """Published under two names, in ``derivatives/preprocessed_stimuli`` or ``derivatives/stimuli``."""
    names = (f"{stimulus}_-_envelope.npy", f"{stimulus}_envelope.npy")
    folders = (root / "derivatives" / folder for folder in ("preprocessed_stimuli", "stimuli"))
    return next((folder / name for folder in folders for name in names if is_listed(folder / name)), None)
