"""Reader of FEIS: Emotiv EEG of people who hear, imagine and speak phonemes (doi 10.5281/zenodo.3369178)."""

from __future__ import annotations

import csv
import io
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, Condition, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.electrodes.montage import electrode_positions, read_locs
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.reading import what_is_wrong
from eeg2speech.data.readers.base import Reader, check_choice, missing_source

CONDITIONS: dict[str, Condition] = {
    "stimuli": "listening",
    "articulators": "rest",
    "thinking": "imagined",
    "speaking": "overt",
    "resting": "rest",
}
"""Condition of each phase."""
ELECTRODES = ("F3", "FC5", "AF3", "F7", "T7", "P7", "O1", "O2", "P8", "T8", "F8", "AF4", "FC6", "F4")
RATE = 256
LARGEST = 2 * 10**9
"""Largest unpacked table in bytes; a larger one is refused as a zip bomb. The published ones have 10 to 60 MB."""

Rows: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]

logger = logging.getLogger(__name__)


@dataclass
class Feis(Reader):
    """FEIS: 14-channel EEG of hearing, imagining and speaking phonemes (doi 10.5281/zenodo.3369178).

    Every epoch is a segment whose stimulus is the participant's own recording of the phoneme. Where the sounds of a
    participant are missing, the store holds the EEG without a sound.

    Attributes:
        root: Folder that holds data_eeg and data_wav, or the folder above it.
        subjects: Participants, e.g. [01,02]; all if not given.
        phases: Phases to read: stimuli, articulators, thinking, speaking, resting; all existing phases if not given.
    """

    name = "feis"
    title = "FEIS"
    url = "https://doi.org/10.5281/zenodo.3369178"
    license = "ODC-BY 1.0"
    citation = (
        "S. Wellington, J. Clayton, Fourteen-channel EEG with Imagined Speech (FEIS) dataset v1.0, University of "
        "Edinburgh, 2019"
    )
    selections = (*Reader.selections, "phases")

    layout = "data_eeg with tables of the phases (.zip or .csv)"

    phases: list[str] | None = None

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant and phase."""
        check_choice("phases", self.phases, CONDITIONS)
        if not (root / "data_eeg").is_dir():
            below = [folder.parent for folder in root.glob("*/data_eeg") if folder.is_dir()]
            if not below:
                return
            if len(below) > 1:
                raise DataError(f"{root}: {len(below)} subfolders hold data_eeg; give the one of FEIS")
            root = below[0]
        locs = next(iter(sorted(root.rglob("*[Cc]ap14.locs"))), None)
        for folder in sorted(folder for folder in (root / "data_eeg").iterdir() if folder.is_dir()):
            subject = folder.name
            wavs = {file.stem: file for file in sorted((root / "data_wav" / subject / "wavs").glob("*.wav"))}
            for phase in dict.fromkeys(self.phases or CONDITIONS):
                recording = f"sub-{subject}_phase-{phase}"
                tables = (folder / f"{phase}.csv", folder / f"{phase}.zip")
                table = next((file for file in tables if is_listed(file)), None)
                if table is not None:
                    inputs = (table, *([locs] if locs else []), *wavs.values())
                    load = partial(read_feis, table, recording, subject, phase, wavs, locs)
                    yield Source(recording, subject, "", phase, inputs, load)
                elif self.phases:
                    message = f"{folder}: no {phase}.zip or {phase}.csv; download it, or leave it out of phases"
                    yield missing_source(recording, subject, "", phase, message)


def read_feis(
    table: Path, recording: str, subject: str, phase: str, wavs: dict[str, Path], locs: Path | None
) -> RawRecording:
    """Read one phase of one participant, with sounds by phoneme; ``locs`` None stands for standard positions."""
    with _open_table(table, phase) as stream:
        epochs, microvolts, labels = _read_rows(stream, table)
    if locs is None:
        places = electrode_positions(ELECTRODES, source=str(table)).tolist()
    else:
        known = read_locs(locs)
        missing = [name for name in ELECTRODES if name not in known]
        if missing:
            raise DataError(f"{locs}: no position of electrode {missing[0]}; replace or remove the file")
        places = [known[name] for name in ELECTRODES]

    breaks = [int(sample) + 1 for sample in np.flatnonzero(np.diff(epochs))]
    segments = []
    for first, last in zip([0, *breaks], [*breaks, len(epochs)], strict=True):
        label = str(labels[first])
        stimulus = f"{subject}_{label}" if label else ""
        segments.append(
            Segment(recording, first / RATE, (last - first) / RATE, stimulus, 0.0, CONDITIONS[phase], label)
        )
    channels = [Channel(name, "eeg", *place) for name, place in zip(ELECTRODES, places, strict=True)]
    prompts = sorted(set(labels.tolist()) - {""})
    stimuli: dict[str, Sound] = {f"{subject}_{label}": wavs[label] for label in prompts if label in wavs}
    without = [label for label in prompts if label not in wavs] if CONDITIONS[phase] != "rest" else []
    lost = []
    if without:
        logger.warning("%s: data_wav has no sound of %d of its %d labels", recording, len(without), len(prompts))
        reason = "its sounds are not in data_wav"
        lost = [Lost("sound" if not stimuli else "segment", reason, ", ".join(without), missing=bool(wavs))]
    return RawRecording(microvolts.T * 1e-6, RATE, channels, segments, breaks, stimuli, lost=lost)


@contextmanager
def _open_table(table: Path, phase: str) -> Iterator[TextIO]:
    """Open the CSV file, in its zip or unpacked."""
    try:
        if table.suffix == ".csv":
            with table.open(encoding="utf-8-sig", newline="") as stream:
                yield stream
            return
        with (
            zipfile.ZipFile(table) as archive,
            archive.open(_member(archive, table, phase)) as binary,
            io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as stream,
        ):
            yield stream
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: is no text table ({error.reason}); download it again") from error
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{table}: {what_is_wrong(table, error)}") from error


def _member(archive: zipfile.ZipFile, table: Path, phase: str) -> zipfile.ZipInfo:
    members = [
        info
        for info in archive.infolist()
        if info.filename.rsplit("/", 1)[-1] == f"{phase}.csv" and "__MACOSX" not in info.filename
    ]
    if not members:
        raise DataError(f"{table}: holds no {phase}.csv; download it again")
    member = min(members, key=lambda info: info.filename.count("/"))
    if member.file_size > LARGEST:
        raise DataError(
            f"{table}: {member.filename} unpacks to {member.file_size / 1e9:.1f} GB, more than "
            f"{LARGEST / 1e9:.0f} GB; this is not FEIS"
        )
    return member


def _read_rows(stream: TextIO, table: Path) -> Rows:
    """Epoch number, (samples,), signal in microvolts, (samples, channels), and label, (samples,)."""
    header = next(csv.reader([stream.readline()]), [])
    columns = {name.strip(): index for index, name in enumerate(header)}
    clock = re.match(r"Time:\s*([0-9.]+)\s*Hz", header[0]) if header else None
    if clock is None:
        raise DataError(f"{table}: first column is {''.join(header[:1])!r}, not Time:{RATE}Hz; download it again")
    if float(clock[1]) != RATE:
        raise DataError(f"{table}: sampled at {clock[1]} Hz, FEIS is at {RATE} Hz; leave this recording out")
    missing = [name for name in ("Epoch", *ELECTRODES, "Label") if name not in columns]
    if missing:
        raise DataError(f"{table}: no column {missing[0]}; download it again")
    row = np.dtype([("epoch", "f8"), ("eeg", "f8", (len(ELECTRODES),)), ("label", "U32")])
    used = [columns["Epoch"], *(columns[name] for name in ELECTRODES), columns["Label"]]
    try:
        first_row = stream.readline()
        if not first_row.strip():
            raise DataError(f"{table}: holds no samples; download it again")
        rows = np.loadtxt(
            chain([first_row], stream), row, comments=None, delimiter=",", quotechar='"', usecols=used, ndmin=1
        )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise DataError(f"{table}: {_at_line(error)}; download it again") from error
    return rows["epoch"], rows["eeg"], rows["label"]


def _at_line(error: ValueError) -> str:
    """An error of loadtxt with the line of the file; loadtxt counts rows after the header, from 0 or 1."""
    text = str(error)
    if match := re.match(r"could not convert string '(.*)' to \S+ at row (\d+)", text, re.DOTALL):
        return f"line {int(match[2]) + 2}: {match[1]!r} is not a number"
    if match := re.search(r"at row (\d+)", text):
        return f"line {int(match[1]) + 1}: too few cells"
    return text.splitlines()[0]
