"""Reader of Alice: EEG of people who listen to Alice in Wonderland (doi 10.1371/journal.pone.0207741)."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import mne
import numpy as np

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, Lost, RawRecording, Segment, Sound, Source
from eeg2speech.data.electrodes.montage import HEAD_CENTRE, Position
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.matlab import as_list, read_mat
from eeg2speech.data.files.raw import BaseRaw, from_array, from_file
from eeg2speech.data.files.reading import one_line, read_csv, wrap_read_errors
from eeg2speech.data.files.signal_files import signal_files
from eeg2speech.data.files.sounds import sound_at, sound_seconds
from eeg2speech.data.readers.base import Reader, by_number

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
"""Cap of the dataset (its easycapM10-acti61_elec.sfp) on a sphere: number of a ring's first electrode, degrees from the
top, and degrees of each electrode from the right ear towards the nose. mne's easycap-M10 numbers the same places
differently."""
PARTS = 12
WORDS = "AliceChapterOne-EEG.csv"
SOUND = "DownTheRabbitHoleFinal_SoundFile{}.wav"
PROC = ("proc", "timelock-preprocessing")
"""Folders that proc.zip of the second and of the first release unpacks the tables of word onsets to."""
RENUMBERED = ("S26", "S34", "S35", "S36")
"""Participants whose first part was not recorded; their table counts from the second part as 1."""
TOLERANCE = 0.1
"""Seconds by which the words of a part may disagree about its onset, and by which two parts may overlap."""

Word = tuple[float, float, str]
"""Onset and offset in seconds of the part's sound, and the word."""

logger = logging.getLogger(__name__)


@dataclass
class Brennan(Reader):
    """Alice: 60-channel EEG of people who listen to an audiobook (doi 10.7302/746w-g237, CC BY 4.0).

    Both releases are read: BrainVision (v2, S01.vhdr) and FieldTrip (v1, S01.mat). Unzip audio.zip and proc.zip beside
    them. The authors used 33 of the 49 participants; datasets.mat lists them. The 12 parts of the chapter are stimuli,
    with their words as text. The onset of a part follows from each of its words: the table in proc.zip has the sample
    at which a word was cut out and its time in the part. Without that table, the triggers of the parts are used.

    The layout is that of public loaders of both releases; the reader was tested on files written in that layout, not
    on published ones.

    Attributes:
        root: Folder that holds S01.vhdr or S01.mat, audio, proc and AliceChapterOne-EEG.csv.
    """

    name = "brennan"
    title = "Alice"
    url = "https://doi.org/10.7302/746w-g237"
    license = "CC BY 4.0"
    citation = (
        "J. R. Brennan, J. T. Hale, Hierarchical structure guides rapid linguistic predictions during naturalistic "
        "listening, PLoS ONE 14(1), e0207741, 2019"
    )

    layout = "S01.vhdr or S01.mat"

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per participant."""
        # where there are both, BrainVision, as its signal can stay in the file
        files = by_number([*root.glob("S*.mat"), *root.glob("S*.vhdr")], r"S(\d+)")
        words = read_words(root / WORDS) if files else {}
        sounds = {part: _sound_file(root, part) for part in words}
        for file in files.values():
            proc = next((p for folder in PROC if is_listed(p := root / folder / f"{file.stem}.mat")), None)
            inputs = (*signal_files(file), *([proc] if proc else []), root / WORDS, *sounds.values())
            yield Source(file.stem, file.stem, "", "", inputs, partial(read_brennan, file, proc, words, sounds))


def read_brennan(file: Path, proc: Path | None, words: dict[int, list[Word]], sounds: dict[int, Path]) -> RawRecording:
    """Read one participant with words and sounds by part; without a table of onsets, by triggers."""
    raw, onsets = _read_vhdr(file) if file.suffix == ".vhdr" else (_read_fieldtrip(file), None)
    if proc is not None:
        onsets, bad = _read_proc(proc, file.stem, raw.rate)
        raw.channels = [replace(c, status="bad") if c.name in bad else c for c in raw.channels]
    if onsets is None:
        raise DataError(f"{file}: no table {file.stem}.mat with the start of the sound; unzip proc.zip beside it")
    for part in sorted(sounds.keys() ^ onsets.keys()):
        what = "no onset" if part in sounds else "no sound"
        logger.warning("%s: there is %s of part %d; left out", file, what, part)
        raw.lost.append(Lost("segment", f"{what} of its part", f"alice_{part:02d}"))
    starts = {part: onset for part, onset in sorted(onsets.items()) if part in sounds}
    for (part, onset), (later, next_onset) in pairwise(starts.items()):
        if onset + sound_seconds(sounds[part]) > next_onset + TOLERANCE:
            raise DataError(
                f"{proc or file}: part {later} begins at {next_onset:.1f} s, before part {part}, which begins at "
                f"{onset:.1f} s, has ended; leave {file.stem} out"
            )
    stimuli: dict[str, Sound] = {}
    for part, start in starts.items():
        stimulus = f"alice_{part:02d}"
        first = max(start, 0.0)  # some recordings begin after the sound
        last = min(start + sound_seconds(sounds[part]), raw.eeg.shape[1] / raw.rate)
        if last <= first:
            logger.warning("%s: part %d lies outside the recording; left out", file, part)
            raw.lost.append(Lost("segment", "its part lies outside the recording", stimulus))
            continue
        text = " ".join(word for begin, end, word in words[part] if start + begin >= first and start + end <= last)
        stimuli[stimulus] = sound_at(sounds[part])
        raw.segments.append(Segment(file.stem, first, last - first, stimulus, first - start, "listening", text=text))
    raw.segments = raw.segments or [silent(file.stem, raw.eeg.shape[1] / raw.rate)]
    raw.stimuli = stimuli
    return raw


def read_words(file: Path) -> dict[int, list[Word]]:
    """Words of every part, from the table of the whole chapter."""
    words: dict[int, list[Word]] = defaultdict(list)
    for line, row in enumerate(read_csv(file, ("Word", "Segment", "onset", "offset"), errors="replace"), start=2):
        try:
            words[int(float(row["Segment"]))].append((float(row["onset"]), float(row["offset"]), row["Word"]))
        except (ValueError, OverflowError) as error:
            raise DataError(f"{file}: line {line}: {one_line(error)}; download it again") from error
    if not words or not all(1 <= part <= PARTS for part in words):
        raise DataError(f"{file}: names the parts {sorted(words)}, not 1 to {PARTS}; download it again")
    return dict(words)


def _sound_file(root: Path, part: int) -> Path:
    name = SOUND.format(part)
    file = next((f for f in (root / "audio" / name, root / name) if is_listed(f)), None)
    if file is None:
        raise DataError(f"{root / 'audio' / name}: missing; unzip audio.zip into {root}")
    return file


def _read_vhdr(file: Path) -> tuple[RawRecording, dict[int, float] | None]:
    """The signal, which stays in its file, and the onset of every part in seconds if the triggers are unambiguous."""
    places = cap_positions()
    with wrap_read_errors(file):
        raw: BaseRaw = mne.io.read_raw_brainvision(file, verbose="ERROR")
        others = {name: "eog" if "EOG" in name.upper() else "misc" for name in raw.ch_names if name not in places}
        raw.set_channel_types(others, on_unit_change="ignore", verbose="ERROR")
        triggers = sorted(
            (float(mark["onset"]) - raw.first_time, int(number[1]))
            for mark in raw.annotations
            if mark["description"].startswith("Stimulus") and (number := re.search(r"(\d+)\s*$", mark["description"]))
        )
    found = from_file(raw, file)
    found.channels = [Channel(c.name, c.type, *places[c.name], c.status) for c in found.channels]
    codes = [code for _, code in triggers]
    # one trigger per part: the codes count the parts, or all codes are equal
    unambiguous = len(codes) == PARTS and (codes == list(range(1, PARTS + 1)) or len(set(codes)) == 1)
    return found, {part: onset for part, (onset, _) in enumerate(triggers, start=1)} if unambiguous else None


def _read_fieldtrip(file: Path) -> RawRecording:
    """The signal of a FieldTrip structure ``raw`` in microvolts."""
    content = read_mat(file, ["raw"])["raw"]
    places = cap_positions()
    with wrap_read_errors(file):
        trial: Any = content["trial"]
        signal = np.asarray(trial[0] if isinstance(trial, list) else trial)
        labels, rate = [str(label) for label in content["label"]], float(content["fsample"])
        if signal.ndim != 2 or len(signal) != len(labels) or not rate > 0:
            raise DataError(
                f"{file}: {signal.shape} signal with {len(labels)} labels at {rate:g} Hz; download it again"
            )
        picks = [pick for pick, label in enumerate(labels) if label in places]
        names = [labels[pick] for pick in picks]
        return from_array(signal[picks].astype(np.float64) * 1e-6, rate, names, [places[name] for name in names])


def cap_positions() -> dict[str, Position]:
    """Head coordinates of the electrodes by their number, in metres."""
    places = {}
    for first, polar, azimuths in RINGS:
        for number, azimuth in enumerate(azimuths, start=first):
            down, turn = np.deg2rad(polar), np.deg2rad(azimuth)
            direction = np.array([np.sin(down) * np.cos(turn), np.sin(down) * np.sin(turn), np.cos(down)])
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
        # FieldTrip's first three columns are first and last sample, counted from 1, and the offset of time zero.
        # The named columns are the last; one participant has another column in between.
        extra = table[:, -len(names) :]
        parts, times = extra[:, names.index("segment")], extra[:, names.index("tmin")]
        starts = (table[:, 0] - 1 - table[:, 2]) / rate - times
        if not np.isfinite(extra).all() or not np.isfinite(starts).all() or (parts != parts.round()).any():
            raise DataError(f"{file}: proc.trl holds no numbers of parts; download proc.zip again")
        bad = _names(proc.get("rejections"), "badchans") | _names(proc.get("impedence"), "bads")
    onsets = {}
    for part in np.unique(parts):
        of_words = starts[parts == part]
        onsets[int(part) + (subject in RENUMBERED)] = float(np.median(of_words))
        if np.ptp(of_words) > TOLERANCE:
            raise DataError(
                f"{file}: the words of part {part:g} disagree by {np.ptp(of_words):.2f} s about its onset; "
                f"leave {subject} out"
            )
    return onsets, bad


def _names(structure: Any, key: str) -> set[str]:
    value = structure.get(key) if isinstance(structure, dict) else None
    return {item for item in as_list(value) if isinstance(item, str)}
