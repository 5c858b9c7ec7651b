"""Reader of the Alice EEG: 49 people listening to the first chapter of Alice in Wonderland, in 12 parts.

Reference: Brennan and Hale 2019, Hierarchical structure guides rapid linguistic predictions during naturalistic
listening, doi 10.1371/journal.pone.0207741.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import mne
import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Channel, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.electrodes.montage import HEAD_CENTRE
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.files.raw import BaseRaw, from_array, from_mne
from eeg2speech.data.files.reading import one_line, wrap_read_errors
from eeg2speech.data.files.signal_files import signal_files
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.base import chosen, describe
from eeg2speech.data.store.store import Description

RADIUS = 0.095
"""Metres from the middle of the head to the electrodes, as in mne's standard heads."""
RINGS = (
    (1, 23, range(90, -270, -60)),
    (7, 68, range(90, -270, -24)),
    (22, 113, range(35, -240, -25)),
    (33, 0, (0,)),
    (34, 45, (90, 66, 33, 0, -33, -66, -90, -114, -147, -180, -213, -246)),
    (46, 90, (90, 68, 45, 22, 0, -22, -45, -68, -90, -112, -135, -158, -180, -202, -225, -248)),
)
"""Cap of the dataset (its easycapM10-acti61_elec.sfp) on a sphere: the first number of a ring, degrees from the top and
each electrode's degrees from the right ear towards the nose. mne's easycap-M10 numbers the same places otherwise."""
PARTS = 12
WORDS = "AliceChapterOne-EEG.csv"
SOUND = "DownTheRabbitHoleFinal_SoundFile{}.wav"
PROC = ("proc", "timelock-preprocessing")
"""Where proc.zip of the first and of the second release unpacks the tables of word onsets."""
RENUMBERED = ("S26", "S34", "S35", "S36")
"""Their first part was not recorded, and the table counts from the second part as 1."""
AGREE = 0.1
"""Seconds by which the words of a part may disagree about where it began, and by which two parts may overlap."""

Word = tuple[float, float, str]
"""Onset and offset in seconds of the part's sound, and the word."""

logger = logging.getLogger(__name__)


@dataclass
class Brennan:
    """Alice: 60-channel EEG of people listening to an audiobook (doi 10.7302/746w-g237, CC BY 4.0).

    Both releases are read: BrainVision (v2, S01.vhdr) or FieldTrip (v1, S01.mat). Unzip audio.zip and proc.zip beside
    them. The authors used 33 of the 49 participants; datasets.mat lists them.

    Attributes:
        root: Folder that holds S01.vhdr or S01.mat, audio, proc and AliceChapterOne-EEG.csv.
        subjects: Participants, e.g. [1,3]; all if not given.
    """

    root: Path
    subjects: list[str | int] | None = None

    def sources(self) -> list[Source]:
        """One recording per participant."""
        root = expanded(self.root)
        files = _recordings(root)
        words = read_words(root / WORDS)
        sounds = {part: _sound_file(root, part) for part in words}
        wanted = None if self.subjects is None else [re.sub(r"^(sub-)?S", "", str(s)) for s in self.subjects]
        sources = []
        for label in chosen(files, wanted, root):
            file, name = files[label], f"S{label}"
            proc = next((p for folder in PROC if is_listed(p := root / folder / f"{name}.mat")), None)
            inputs = (*signal_files(file), *([proc] if proc else []), root / WORDS, *sounds.values())
            load = partial(read_brennan, file, proc, words, sounds)
            sources.append(Source(name, name, "", "", inputs, load))
        return sources

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        return describe(
            "Alice",
            source="https://doi.org/10.7302/746w-g237",
            license="CC BY 4.0",
            citation="J. R. Brennan, J. T. Hale, Hierarchical structure guides rapid linguistic predictions during "
            "naturalistic listening, PLoS ONE 14(1), e0207741, 2019",
            reader="brennan",
        )


def read_brennan(file: Path, proc: Path | None, words: dict[int, list[Word]], sounds: dict[int, Path]) -> RawRecording:
    """Read one participant: a segment per part of the audiobook, its words as text.

    The layout is that of public loaders of both releases; only files written in it have been read, not the published
    ones. Where a part begins follows from each of its words: the table of proc.zip has the sample at which it was
    cut out and its time in the part. Without that table the trigger at the onset of every part is taken.

    Args:
        file: ``S01.vhdr`` or ``S01.mat``; the recording's id is its stem.
        proc: Table of word onsets; None to go by triggers.
        words: By part.
        sounds: By part.

    Raises:
        DataError: A file is damaged, or it cannot be told where the parts begin.
    """
    raw, onsets = _read_vhdr(file) if file.suffix == ".vhdr" else (_read_fieldtrip(file), None)
    if proc is not None:
        onsets, bad = _read_proc(proc, file.stem, raw.rate)
        raw.channels = [replace(c, status="bad") if c.name in bad else c for c in raw.channels]
    if onsets is None:
        raise DataError(f"{file}: no table {file.stem}.mat says where the sound begins; unzip proc.zip beside it")
    known = {part: onset for part, onset in sorted(onsets.items()) if part in sounds}
    for part in sorted(sounds.keys() ^ onsets.keys()):
        what = "no onset" if part in sounds else "no sound"
        logger.warning("%s: there is %s of part %d; left out", file, what, part)
        raw.lost.append(Lost("segment", f"{what} of its part", f"alice_{part:02d}"))
    for (part, onset), (later, next_onset) in pairwise(known.items()):
        if onset + sound_seconds(sounds[part]) > next_onset + AGREE:
            raise DataError(
                f"{proc or file}: part {later} begins at {next_onset:.1f} s, while part {part}, begun at "
                f"{onset:.1f} s, still sounds; leave {file.stem} out"
            )
    stimuli: dict[str, Sound] = {}
    for part, start in known.items():
        first = max(start, 0.0)  # some recordings were begun after the sound
        last = min(start + sound_seconds(sounds[part]), raw.eeg.shape[1] / raw.rate)
        if last <= first:
            logger.warning("%s: part %d lies outside the recording; left out", file, part)
            raw.lost.append(Lost("segment", "its part lies outside the recording", f"alice_{part:02d}"))
            continue
        text = " ".join(word for begin, end, word in words[part] if start + begin >= first and start + end <= last)
        stimulus = f"alice_{part:02d}"
        stimuli[stimulus] = sound_at(sounds[part])
        raw.segments.append(Segment(file.stem, first, last - first, stimulus, first - start, "listening", text=text))
    raw.segments = raw.segments or [silent(file.stem, raw.eeg.shape[1] / raw.rate)]
    raw.stimuli = stimuli
    return raw


def read_words(file: Path) -> dict[int, list[Word]]:
    """Words of every part, from the table of the whole chapter.

    Raises:
        DataError: The table is missing, damaged or lacks a column.
    """
    words: dict[int, list[Word]] = defaultdict(list)
    line = 1
    with wrap_read_errors(file), file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        table = csv.DictReader(stream)
        missing = [name for name in ("Word", "Segment", "onset", "offset") if name not in (table.fieldnames or ())]
        if missing:
            raise DataError(f"{file}: no column {missing[0]}; download it again")
        for line, row in enumerate(table, start=2):
            try:
                words[int(float(row["Segment"]))].append((float(row["onset"]), float(row["offset"]), row["Word"]))
            except (TypeError, ValueError, OverflowError) as error:
                raise DataError(f"{file}: line {line}: {one_line(error)}; download it again") from error
    if not words or not all(1 <= part <= PARTS for part in words):
        raise DataError(f"{file}: names the parts {sorted(words)}, not 1 to {PARTS}; download it again")
    return dict(words)


def _recordings(root: Path) -> dict[str, Path]:
    """Recording by number; BrainVision where there are both, as it can stay in its file."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder of Alice that holds S01.vhdr or S01.mat")
    files: dict[str, Path] = {}
    for suffix in (".mat", ".vhdr"):
        files |= {file.stem[1:]: file for file in root.glob(f"S*{suffix}") if re.fullmatch(r"S\d+", file.stem)}
    if not files:
        raise DataError(f"{root}: holds no S01.vhdr or S01.mat; give the folder that Alice was downloaded to")
    return dict(sorted(files.items()))


def _sound_file(root: Path, part: int) -> Path:
    name = SOUND.format(part)
    file = next((f for f in (root / "audio" / name, root / name) if is_listed(f)), None)
    if file is None:
        raise DataError(f"{root / 'audio' / name}: missing; unzip audio.zip into {root}")
    return file


def _read_vhdr(file: Path) -> tuple[RawRecording, dict[int, float] | None]:
    """The signal, which stays in its file, and the onset of every part in seconds if the triggers are plain."""
    places = cap_positions()
    with wrap_read_errors(file):
        raw: BaseRaw = mne.io.read_raw_brainvision(file, verbose="ERROR")
        others = {name: "eog" if "EOG" in name.upper() else "misc" for name in raw.ch_names if name not in places}
        raw.set_channel_types(others, on_unit_change="ignore", verbose="ERROR")
        found = from_mne(raw, lazily=True)
        raw.get_data(start=max(raw.n_times - 1, 0))
        marks = [
            (float(mark["onset"]) - raw.first_time, int(number[1]))
            for mark in raw.annotations
            if mark["description"].startswith("Stimulus") and (number := re.search(r"(\d+)\s*$", mark["description"]))
        ]
    found.channels = [Channel(c.name, c.type, *places[c.name], c.status) for c in found.channels]
    times = [time for time, _ in sorted(marks)]
    codes = [code for _, code in sorted(marks)]
    # one trigger per part: either they count the parts, or all are the same
    plain = len(codes) == PARTS and (codes == list(range(1, PARTS + 1)) or len(set(codes)) == 1)
    return found, dict(enumerate(times, start=1)) if plain else None


def _read_fieldtrip(file: Path) -> RawRecording:
    """The signal of a FieldTrip structure ``raw`` in microvolts."""
    content = read_mat(file, ["raw"])["raw"]
    with wrap_read_errors(file):
        trial: Any = content["trial"]
        signal = np.asarray(trial[0] if isinstance(trial, list) else trial)
        labels, rate = [str(label) for label in content["label"]], float(content["fsample"])
        if signal.ndim != 2 or len(signal) != len(labels) or not rate > 0:
            raise DataError(
                f"{file}: {signal.shape} signal with {len(labels)} labels at {rate:g} Hz; download it again"
            )
        places = cap_positions()
        picks = [pick for pick, label in enumerate(labels) if label in places]
        names = [labels[pick] for pick in picks]
        return from_array(signal[picks].astype(np.float64) * 1e-6, rate, names, [places[name] for name in names])


def cap_positions() -> dict[str, tuple[float, float, float]]:
    """Head coordinates of the electrodes by their number, in metres."""
    places = {}
    for first, down, turns in RINGS:
        for number, turn in enumerate(turns, start=first):
            polar, azimuth = np.deg2rad(down), np.deg2rad(turn)
            flat = np.sin(polar)
            direction = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.cos(polar)])
            x, y, z = (np.array(HEAD_CENTRE) + RADIUS * direction).tolist()
            places[str(number)] = (x, y, z)
    return places


def _read_proc(file: Path, subject: str, rate: float) -> tuple[dict[int, float], set[str]]:
    """Onset of every part in seconds of EEG, and the channels that the authors rejected."""
    proc = read_mat(file, ["proc"])["proc"]
    with wrap_read_errors(file):
        names = [str(name) for name in proc["varnames"]]
        table = np.atleast_2d(np.asarray(proc["trl"], np.float64))
        missing = [name for name in ("segment", "tmin") if name not in names]
        if missing or table.shape[1] < 3 + len(names):
            raise DataError(f"{file}: proc.trl is {table.shape}, its columns {names}; download proc.zip again")
        # FieldTrip's first three columns: first and last sample counted from 1, and where time zero lies in between.
        # The named ones are the last; one participant has another column in between.
        extra = table[:, -len(names) :]
        parts, times = extra[:, names.index("segment")], extra[:, names.index("tmin")]
        starts = (table[:, 0] - 1 - table[:, 2]) / rate - times
        if not np.isfinite(extra).all() or not np.isfinite(starts).all() or (parts != parts.round()).any():
            raise DataError(f"{file}: proc.trl holds no numbers of parts; download proc.zip again")
        bad = _strings(proc.get("rejections"), "badchans") | _strings(proc.get("impedence"), "bads")
    onsets = {}
    for part in np.unique(parts):
        of_words = starts[parts == part]
        onsets[int(part) + (subject in RENUMBERED)] = float(np.median(of_words))
        if np.ptp(of_words) > AGREE:
            raise DataError(
                f"{file}: the words of part {part:g} disagree by {np.ptp(of_words):.2f} s about where it begins; "
                f"leave {subject} out"
            )
    return onsets, bad


def _strings(structure: Any, key: str) -> set[str]:
    """Names in a field of a structure: MATLAB has one as a string, several as a list, none as an empty array."""
    value = structure.get(key) if isinstance(structure, dict) else None
    if isinstance(value, str):
        return {value}
    return {str(item) for item in value} if isinstance(value, list) else set()
