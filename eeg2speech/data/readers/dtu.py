"""Reader of DTU: EEG of people who attend to one or two talkers (doi 10.1016/j.neuroimage.2017.04.026)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import as_list, get_field, get_rate, read_mat
from eeg2speech.data.files.reading import inside, read_csv, wrap_read_errors
from eeg2speech.data.files.sounds import SUFFIXES, sound_at, sound_seconds
from eeg2speech.data.readers.arrays import Unit, channels_first, find_cap, in_volts
from eeg2speech.data.readers.base import Reader, by_number, find_folder, sound_folder

TRIAL_ENDS = (191, 192)
"""Triggers that end a trial; participant 8 has 192 instead of 191."""
COLUMNS = ("trigger", "n_speakers", "attend_mf", "attend_lr", "wavfile_male", "wavfile_female")
SIDES = {1: "left", 2: "right"}
MALE = 1

Trial = tuple[int, str, str]
"""Code at the start of the sound, file name of the attended talker's sound, and ``left``, ``right`` or empty."""

logger = logging.getLogger(__name__)


@dataclass
class DtuAttention(Reader):
    """DTU: 18 Danes who attend to one of two talkers or listen to one talker, 64 electrodes at 512 Hz (CC BY-NC 4.0).

    Unpack EEG.zip and AUDIO.zip of Zenodo 1199011 into one folder. The table expinfo inside S1.mat is a MATLAB object
    that only MATLAB reads; write it beside the file as S1.csv: for s = 1:18, load(sprintf('S%d.mat', s)),
    writetable(expinfo, sprintf('S%d.csv', s)), end (MATLAB code). Alternatively, store expinfo in the file as a
    structure made by table2struct.

    The stimulus of a trial is the attended talker; the label is the side, or empty where one talker spoke. Layout and
    triggers are those of the authors' script and public loaders; the unit is that of one of these loaders. The reader
    was tested on files written in that layout, v5 and v7.3, not on published ones. Split by stimulus or subject,
    because a network can identify the trial that a window comes from.

    Attributes:
        root: Folder that holds EEG and AUDIO.
        sounds: Folder of the .wav files; AUDIO in root if not given.
        unit: Unit of the EEG, uV or V.
    """

    name = "dtu"
    title = "DTU auditory attention"
    url = "https://doi.org/10.5281/zenodo.1199011"
    license = "CC BY-NC 4.0"
    citation = (
        "S. A. Fuglsang, D. D. E. Wong, J. Hjortkjaer, EEG and audio dataset for auditory attention decoding, Zenodo "
        "2018; S. A. Fuglsang, T. Dau, J. Hjortkjaer, Noise-robust cortical tracking of attended speech in real-world "
        "acoustic scenes, NeuroImage 156, 2017"
    )
    selections = (*Reader.selections, "sounds")

    layout = "EEG/S1.mat or the like"

    sounds: Path | None = None
    unit: Unit = "uV"

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant."""
        folder = find_folder(root, "EEG", "eeg_new") or root
        if not (files := by_number(folder.glob("S*.mat"), r"S(\d+)")):
            return
        sounds = sound_folder(self.sounds, root, "AUDIO")
        wavs = sorted(f for f in sounds.rglob("*") if f.name.lower().endswith(SUFFIXES))
        for subject, file in files.items():
            table = file.with_suffix(".csv")
            inputs = (file, *([table] if is_listed(table) else []), *wavs)
            load = partial(read_dtu, file, table, f"sub-{subject}", sounds, self.unit)
            yield Source(f"sub-{subject}", subject, "", "", inputs, load)


def read_dtu(file: Path, table: Path, recording: str, sounds: Path, unit: Unit) -> RawRecording:
    """Read one participant.

    ``file`` holds ``data``, a structure of COCOHA's toolbox, and ``table`` is ``expinfo`` as MATLAB writes it. If the
    table does not exist, ``expinfo`` has to be a structure in ``file``.
    """
    data = read_mat(file, ("data",))["data"]
    names = [str(name) for name in as_list(get_field(file, data, "dim", "chan", "eeg"))]
    rows, channels = find_cap(names, "biosemi64", file)
    eeg = in_volts(channels_first(get_field(file, data, "eeg"), len(names), file, "data.eeg")[rows], unit, file)
    rate = get_rate(file, data, "fsample", "eeg")
    with wrap_read_errors(file):
        samples = [int(sample) for sample in as_list(get_field(file, data, "event", "eeg", "sample"))]
        codes = [int(value) for value in as_list(get_field(file, data, "event", "eeg", "value"))]
    if len(samples) != len(codes):
        raise DataError(f"{file}: {len(samples)} samples of {len(codes)} events; download it again")
    trials = _trials(read_csv(table, COLUMNS), table) if is_listed(table) else _read_expinfo(file, table)
    seconds = eeg.shape[1] / rate
    segments, lost = [], []
    stimuli: dict[str, Sound] = {}
    event = 0
    for code, wav, side in trials:
        start = next((e for e in range(event, len(codes)) if codes[e] == code), None)
        if start is None:
            lost.append(Lost("segment", "no trigger of its trial", Path(wav).stem))
            continue
        event = start + 1
        onset = (samples[start] - 1) / rate  # MATLAB counts from 1
        ends = [(samples[e] - 1) / rate for e in range(event, len(codes)) if codes[e] in TRIAL_ENDS]
        sound = inside(sounds, wav, table if table.is_file() else file)
        stimulus = Path(wav).stem
        stimuli[stimulus] = sound_at(sound)
        duration = min([seconds, *ends[:1]]) - onset
        if not 0 <= onset < onset + duration:
            raise DataError(f"{file}: a trial starts at {onset:.1f} s of {seconds:.1f} s; download it again")
        duration = min(duration, sound_seconds(sound))
        segments.append(Segment(recording, onset, duration, stimulus, 0.0, "listening", side))
    if lost:
        logger.warning("%s: %d of %d trials have no trigger; left out", file, len(lost), len(trials))
    if not segments:
        raise DataError(f"{file}: none of the {len(trials)} triggers of expinfo occurs; is {table.name} from it?")
    return RawRecording(eeg, rate, channels, segments, stimuli=stimuli, lost=lost)


def _read_expinfo(file: Path, table: Path) -> list[Trial]:
    """Trials of a structure array, as ``table2struct`` makes it."""
    try:
        info = read_mat(file, ("expinfo",))["expinfo"]
    except DataError:  # the file does not show the name of a table object
        info = None
    if not isinstance(info, Mapping) or any(name not in info for name in COLUMNS):
        raise DataError(
            f"{table}: missing, and expinfo in {file.name} is a table that only MATLAB reads; write it there with "
            f"load('{file.name}'), writetable(expinfo, '{table.name}')"
        )
    with wrap_read_errors(file):
        cells = zip(*(as_list(info[name]) for name in COLUMNS), strict=True)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in cells]
    return _trials(rows, file)


def _trials(rows: Iterable[Mapping[str, Any]], file: Path) -> list[Trial]:
    trials = []
    for number, row in enumerate(rows, start=1):
        try:
            trigger, talkers, talker = (int(float(row[name])) for name in ("trigger", "n_speakers", "attend_mf"))
            male, female = _file_name(row["wavfile_male"]), _file_name(row["wavfile_female"])
            wav = (male if talker == MALE else female) or (male or female if talkers == 1 else "")
            side = "" if talkers == 1 else SIDES[int(float(row["attend_lr"]))]
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(f"{file}: trial {number} of expinfo is not readable ({error}); write it anew") from error
        if not wav:
            raise DataError(f"{file}: trial {number} of expinfo names no sound of the attended talker; write it anew")
        trials.append((trigger, wav, side))
    return trials


def _file_name(cell: Any) -> str:
    """A file name; an empty cell is an empty array in a structure, and NaN in a text file."""
    text = cell.strip(" '\"") if isinstance(cell, str) else ""
    return "" if text.lower() == "nan" else text
