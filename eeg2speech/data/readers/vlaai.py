"""Reader of the DTU trials that come with VLAAI: EEG and envelopes, no sounds (doi 10.1038/s41598-022-27332-2)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.readers.arrays import Unit, array_recording, envelope_samples, with_envelope
from eeg2speech.data.readers.base import Reader

RATE = 64.0
COMPARED = 30.0
"""Seconds from the start by which speech is identified: trials of the same speech may end a few samples apart."""
LARGEST = 10**9
"""Largest unpacked array in bytes; a larger one is refused as a zip bomb. The published ones have 2 MB."""


@dataclass
class Vlaai(Reader):
    """Single-talker trials of DTU as VLAAI publishes them: 18 people, EEG and envelope at 64 Hz (CC BY-NC 4.0).

    The files are evaluation_datasets/DTU/DTU_S1_000.npz and so on of github.com/exporl/vlaai. Keys, rate and the axis
    of the electrodes follow the code published beside them; the reader was tested on files written in that layout, not
    on published ones. The unit and the story of a trial are not documented. Trials with equal envelopes get the same
    stimulus.

    Attributes:
        root: Folder that holds the .npz files, or the folder of the repository.
        unit: Unit of the EEG, uV or V.
    """

    name = "vlaai"
    title = "DTU single talker (VLAAI)"
    url = "https://github.com/exporl/vlaai (from https://doi.org/10.5281/zenodo.1199011)"
    license = "CC BY-NC 4.0"
    citation = (
        "S. A. Fuglsang, D. D. E. Wong, J. Hjortkjaer, EEG and audio dataset for auditory attention decoding, Zenodo "
        "2018; B. Accou et al., Decoding of the speech envelope from EEG using the VLAAI deep neural network, "
        "Scientific Reports 13, 2023"
    )

    layout = "DTU_S1_000.npz or the like"

    unit: Unit = "uV"

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per trial."""
        folder = next((f for f in (root / "evaluation_datasets" / "DTU", root / "DTU") if f.is_dir()), root)
        trials = {}
        for file in folder.glob("*.npz"):
            if name := re.fullmatch(r"DTU_S(\d+)_(\d+)", file.stem):
                trials[int(name[1]), name[2]] = file
        for (subject, run), file in sorted(trials.items()):
            recording = f"sub-{subject:02d}_run-{run}"
            load = partial(read_trial, file, recording, self.unit)
            yield Source(recording, f"{subject:02d}", "", run, (file,), load)


def read_trial(file: Path, recording: str, unit: Unit) -> RawRecording:
    """Read one trial: an archive of ``eeg``, (samples, 64), and ``envelope``, (samples,) or (samples, 1)."""
    raw = array_recording(_read_array(file, "eeg"), RATE, "biosemi64", unit, file, "eeg")
    envelope, _ = read_envelope(file)
    start = np.ascontiguousarray(envelope[: int(COMPARED * RATE)], np.float32)
    stimulus = f"dtu_{hashlib.sha256(start.tobytes()).hexdigest()[:12]}"
    return with_envelope(raw, recording, stimulus, partial(read_envelope, file))


def read_envelope(file: Path) -> tuple[NDArray[np.float64], float]:
    """Envelope of a trial, (samples,), and its rate."""
    return envelope_samples(_read_array(file, "envelope"), file), RATE


def _read_array(file: Path, key: str) -> NDArray[np.generic]:
    # the file is opened here so that it is closed also where numpy finds the archive damaged
    with wrap_read_errors(file), file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        if key not in archive:
            raise DataError(f"{file}: holds {', '.join(archive) or 'nothing'}, no {key!r}; download it again")
        if archive.zip.getinfo(f"{key}.npy").file_size > LARGEST:
            raise DataError(f"{file}: {key} unpacks to more than {LARGEST / 1e9:.0f} GB; this is not VLAAI's")
        return np.asarray(archive[key])
