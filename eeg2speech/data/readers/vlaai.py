"""Reader of the DTU trials that come with VLAAI: EEG at 64 Hz and the envelope of the speech heard, no sound.

Reference: Accou et al. 2023, Decoding of the speech envelope from EEG using the VLAAI deep neural network,
doi 10.1038/s41598-022-27332-2.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording, Segment, Source
from eeg2speech.data.files.reading import wrap_read_errors
from eeg2speech.data.readers.base import chosen, describe
from eeg2speech.data.readers.biosemi import Unit, cap_channels, channels_first, in_volts
from eeg2speech.data.store.store import Description

RATE = 64.0
SAME = 30.0
"""Seconds from the start that tell one speech from another: trials of the same one may end a few samples apart."""
LARGEST = 10**9
"""Bytes of an unpacked array beyond which an archive is taken for a bomb; the published ones have 2 MB."""


@dataclass
class Vlaai:
    """Single-talker trials of DTU as VLAAI publishes them: 18 people, EEG and envelope at 64 Hz (licence CC BY-NC 4.0).

    The files are evaluation_datasets/DTU/DTU_S1_000.npz and so on of github.com/exporl/vlaai. Keys, rate and the
    electrodes along the second axis follow the code published beside them; the reader was tested on files written that
    way, not on published ones. Their unit is not documented, nor which story a trial is from: trials whose envelopes
    are equal share a stimulus.

    Attributes:
        root: Folder that holds the .npz files, or the folder of the repository.
        subjects: Participants, e.g. [S1,S2] or [1,2]; all if not given.
        unit: Of the EEG, uV or V.
    """

    root: Path
    subjects: list[str | int] | None = None
    unit: Unit = "uV"

    def sources(self) -> list[Source]:
        """One recording per trial."""
        folder = _find_folder(expanded(self.root))
        trials: dict[str, list[tuple[str, Path]]] = {}
        for file in sorted(folder.glob("*.npz")):
            name = re.fullmatch(r"DTU_S(\d+)_(\d+)", file.stem)
            if name:
                trials.setdefault(f"{int(name[1]):02d}", []).append((name[2], file))
        if not trials:
            raise DataError(f"{folder}: holds no DTU_S1_000.npz or the like; give evaluation_datasets/DTU of VLAAI")
        wanted = None if self.subjects is None else [str(label).upper().removeprefix("S") for label in self.subjects]
        sources = []
        for subject in chosen(sorted(trials), wanted, folder):
            for run, file in trials[subject]:
                recording = f"sub-{subject}_run-{run}"
                load = partial(read_trial, file, recording, self.unit)
                sources.append(Source(recording, subject, "", run, (file,), load))
        return sources

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        return describe(
            "DTU single talker (VLAAI)",
            source="https://github.com/exporl/vlaai (from https://doi.org/10.5281/zenodo.1199011)",
            license="CC BY-NC 4.0",
            citation="S. A. Fuglsang, D. D. E. Wong, J. Hjortkjaer, EEG and audio dataset for auditory attention "
            "decoding, Zenodo 2018; B. Accou et al., Decoding of the speech envelope from EEG using the VLAAI deep "
            "neural network, Scientific Reports 13, 2023",
            reader="vlaai",
            unit=self.unit,
        )


def read_trial(file: Path, recording: str, unit: Unit) -> RawRecording:
    """Read one trial.

    Args:
        file: Archive of ``eeg``, (samples, 64), and ``envelope``, (samples,) or (samples, 1).
        recording: Id for the segment.
        unit: Of the EEG.

    Raises:
        DataError: The file is damaged or not of this dataset.
    """
    channels = cap_channels("biosemi64")
    eeg = in_volts(channels_first(_read_array(file, "eeg"), len(channels), file, "eeg"), unit, file)
    envelope = read_envelope(file)
    heard = np.ascontiguousarray(envelope[: int(SAME * RATE)], np.float32)
    stimulus = f"dtu_{hashlib.sha256(heard.tobytes()).hexdigest()[:12]}"
    duration = min(eeg.shape[1], len(envelope)) / RATE
    segment = Segment(recording, 0.0, duration, stimulus, 0.0, "listening")
    envelopes = {stimulus: partial(_envelope_at_rate, file)}
    return RawRecording(eeg, RATE, channels, [segment], envelopes=envelopes)


def read_envelope(file: Path) -> NDArray[np.float64]:
    """Envelope of a trial, (samples,) at 64 Hz.

    Raises:
        DataError: It is missing, empty, or no row of finite numbers.
    """
    values = _read_array(file, "envelope")
    if (
        values.dtype.kind != "f"
        or values.size == 0
        or values.size != max(values.shape)
        or not np.isfinite(values).all()
    ):
        raise DataError(f"{file}: envelope is {values.dtype} of shape {values.shape}, not finite samples; replace it")
    return np.asarray(values.ravel(), np.float64)


def _envelope_at_rate(file: Path) -> tuple[NDArray[np.floating], float]:
    return read_envelope(file), RATE


def _read_array(file: Path, key: str) -> NDArray[np.generic]:
    # a file that we opened is closed even where numpy finds the archive damaged
    with wrap_read_errors(file), file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        if key not in archive:
            raise DataError(f"{file}: holds {', '.join(archive) or 'nothing'}, no {key!r}; download it again")
        if archive.zip.getinfo(f"{key}.npy").file_size > LARGEST:
            raise DataError(f"{file}: {key} unpacks to more than {LARGEST / 1e9:.0f} GB; this is not VLAAI's")
        return np.asarray(archive[key])


def _find_folder(root: Path) -> Path:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give evaluation_datasets/DTU of the repository of VLAAI")
    return next((f for f in (root / "evaluation_datasets" / "DTU", root / "DTU") if f.is_dir()), root)
