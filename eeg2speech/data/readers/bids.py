"""Reader of BIDS datasets: EEG, intracranial EEG and MEG, with sounds by ``stim_file`` or by rules."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mne.io import BaseRaw

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Condition, Lost, RawRecording, Source
from eeg2speech.data.electrodes.names import key_of, match_names
from eeg2speech.data.events.events import Event, read_events, without_marks
from eeg2speech.data.events.paired import add_segments, delayed, on_clock
from eeg2speech.data.events.recording_files import decodable, numbered, open_recording
from eeg2speech.data.events.sound_rules import Ruled, SoundRule, by_event, check_rules, described_rules, ruled_cues
from eeg2speech.data.events.soundless import segments_by_rule, what_rules_miss
from eeg2speech.data.events.triggers import recorded_events
from eeg2speech.data.files.bids_layout import BidsRecording, Datatype, Row, read_rows, recordings, sidecar, sidecars
from eeg2speech.data.files.companions import missing_markers
from eeg2speech.data.files.discontinuities import is_boundary, is_interruption
from eeg2speech.data.files.downloads import check_downloaded
from eeg2speech.data.files.placing import placed_by_name
from eeg2speech.data.files.units import check_gain
from eeg2speech.data.readers.base import chosen, describe
from eeg2speech.data.readers.bids_electrodes import with_electrodes
from eeg2speech.data.readers.bids_stimuli import stimulus_cues, what_stimuli_miss
from eeg2speech.data.store.store import Description

TYPES = {"EEG": "eeg", "SEEG": "seeg", "ECOG": "ecog", "EOG": "eog", "VEOG": "eog", "HEOG": "eog", "TRIG": "stim"}
"""Channel types of ``channels.tsv`` that are decoded from, that show eye movements, or that hold triggers."""
NAMED = ("subject", "session", "task", "run", "acquisition")
"""Entities that templates may name even where the recording has none."""

logger = logging.getLogger(__name__)


@dataclass
class Bids:
    """A dataset in the Brain Imaging Data Structure.

    Sounds are those that stim_file names in events.tsv, relative to the folder stimuli, or those that rules name.
    Recordings without any sound are kept for training that needs none.

    Read as the standard describes it, and checked on one published recording in BrainVision format with CapTrak
    electrodes; EDF, BDF, EEGLAB and FIF on files written by mne and its exporters.

    Attributes:
        root: Folder that holds sub-*.
        subjects: Participants, e.g. [01,02]; all if not given.
        sessions: Sessions; all if not given.
        tasks: Tasks; all if not given.
        runs: Runs; all if not given.
        datatype: What to read; whichever is there if not given.
        sounds: Rules that say which sound belongs to what; without them stim_file says it. Where there is no
            events.tsv, events are the annotations of the recording, and its triggers by their codes.
        montage: Where electrodes are by name if electrodes.tsv and the file do not say it.
        onset: Seconds added to every onset: how long after its trigger a sound could be heard.
        condition: What the subject did while sounds of stim_file were played.
        gain: Factor on all values where the unit in the file is wrong or missing, e.g. 1e-6 for microvolts that are
            taken for volts.
        channel: Of sounds of stim_file with several: left, right, its number from 0, or the mean of all.
    """

    root: Path
    subjects: list[str | int] | None = None
    sessions: list[str | int] | None = None
    tasks: list[str] | None = None
    runs: list[str | int] | None = None
    datatype: Datatype | None = None
    sounds: list[SoundRule] | None = None
    montage: str = "standard_1005"
    onset: float = 0.0
    condition: Condition = "listening"
    gain: float = 1.0
    channel: ChannelChoice = "mean"

    def sources(self) -> list[Source]:
        """One recording per file, or per run of a split recording."""
        check_gain(self.gain)
        check_rules(self.sounds or [])
        found = []
        for recording in self._recordings():
            said = recording.entities
            load = partial(read_bids, self, recording)
            inputs = tuple(recording.files() + self._described_by(recording))
            found.append(
                Source(recording.name, said["subject"], said.get("session", ""), said.get("run", ""), inputs, load)
            )
        return found

    def description(self) -> Description:
        """What goes into ``dataset.json``, as far as ``dataset_description.json`` says it."""
        root = expanded(self.root)
        check_downloaded(root / "dataset_description.json")
        try:
            said = json.loads((root / "dataset_description.json").read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):
            said = {}
        said = said if isinstance(said, dict) else {}
        authors = said.get("Authors")
        names = ", ".join(str(author) for author in authors) if isinstance(authors, list) else ""
        citation = said.get("HowToAcknowledge") or names
        rules: dict[str, Any] = described_rules(self.sounds) if self.sounds else {}
        rules |= {"gain": self.gain} if self.gain != 1 else {}
        channel = {} if self.channel == "mean" else {"channel": self.channel}
        return describe(
            str(said.get("Name") or root.resolve().name).strip(),
            source=str(said.get("DatasetDOI") or "unknown"),
            license=str(said.get("License") or "unknown"),
            citation=str(citation or "unknown"),
            reader="bids",
            datatype=self.datatype,
            montage=self.montage,
            onset=self.onset,
            condition=self.condition,
            **rules,
            **channel,
        )

    def cues(self, recording: BidsRecording, events: Sequence[Event]) -> Ruled:
        """Which sounds belong to what in a recording, without ``onset``.

        Raises:
            ConfigError: A rule is malformed.
            DataError: A table names a file outside the dataset.
        """
        root = expanded(self.root)
        if self.sounds is None:
            cues = stimulus_cues(root, events, self.condition)
            return Ruled([replace(cue, channel=self.channel) for cue in cues])
        path = recording.file.relative_to(root)
        own = {"stem": recording.name, "folder": path.parent.as_posix()}
        names = dict.fromkeys(NAMED, "") | recording.entities | own
        return ruled_cues(self.sounds, root, path.as_posix(), names, events)

    def _recordings(self) -> list[BidsRecording]:
        root = expanded(self.root)
        if not root.is_dir():
            raise DataError(f"{self.root}: no such folder; give the folder of the dataset that holds sub-*")
        kinds: tuple[Datatype, ...] = (self.datatype,) if self.datatype else ("eeg", "ieeg", "meg")
        by_kind = {kind: there for kind in kinds if (there := recordings(root, kind))}
        if not by_kind:
            raise DataError(
                f"{self.root}: holds no recording of {' or '.join(kinds)} that can be read; give the folder of the "
                "dataset that holds sub-*"
            )
        if len(by_kind) > 1:
            raise DataError(f"{self.root}: holds {' and '.join(by_kind)}; choose one with datatype")
        (found,) = by_kind.values()
        for folder in sorted(root.glob("sub-*")):
            if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
                logger.warning("%s: cannot be read; change its permissions", folder)
            elif folder.is_dir() and not any(folder.iterdir()):
                logger.warning("%s: is empty; if it is a DataLad subdataset, run `datalad get` on it", folder)
        for entity in ("subject", "session", "task", "run"):
            found = _selected(found, entity, getattr(self, f"{entity}s"), root)
        return found

    def _described_by(self, recording: BidsRecording) -> list[Path]:
        """Tables and sounds that a recording needs, as far as they can be found."""
        root = expanded(self.root)
        tables = [sidecar(root, recording, name) for name in ("channels.tsv", "events.tsv")]
        places = [] if recording.datatype == "meg" else ["electrodes.tsv", "coordsystem.json"]
        described = [file for name in places for file in sidecars(root, recording, name, free=("space",))]
        try:
            events = read_events(tables[1]) if tables[1] else []
            sounds = {cue.sound for cue in self.cues(recording, events).cues}
        except DataError:  # told when the recording is read
            sounds = set()
        return [table for table in tables if table] + described + sorted(sound for sound in sounds if sound)


def _selected(
    found: list[BidsRecording], entity: str, wanted: Sequence[str | int] | None, root: Path
) -> list[BidsRecording]:
    if wanted is None:
        return found
    there = sorted({recording.entities.get(entity, "") for recording in found})
    prefix = {"session": "ses-"}.get(entity, f"{entity[:3] if entity == 'subject' else entity}-")
    labels = [str(label).removeprefix(prefix) for label in wanted]
    try:
        keep = set(chosen(there, labels, root))
    except DataError as error:
        raise DataError(str(error).replace("no participant", f"no {entity}")) from error
    return [recording for recording in found if recording.entities.get(entity, "") in keep]


def read_bids(reader: Bids, recording: BidsRecording) -> RawRecording:
    """Read a recording. The signal stays in its file.

    Raises:
        DataError: The recording, one of its tables or one of its sounds is damaged or missing.
    """
    root = expanded(reader.root)
    described = sidecar(root, recording, "events.tsv")
    events = read_events(described) if described else []
    raw = open_recording(recording.file)
    _apply_interruptions(raw, events)
    table = sidecar(root, recording, "channels.tsv")
    units = _apply_channels(raw, table, recording) if table else {}
    read = decodable(raw, recording.datatype, recording.file, units, reader.gain)
    read.channels = with_electrodes(read.channels, root, recording)
    read.channels = placed_by_name(read.channels, reader.montage, recording.file)
    if described is not None:
        _warn_of_boundaries(read, events, described)
        events = on_clock(read, without_marks(events, read.rate))
    elif by_event(reader.sounds or []):
        events = recorded_events(raw, recording.file, read)
    found = reader.cues(recording, events)
    cues = delayed(found.cues, reader.onset)
    if read.clocked and cues and described is not None:
        logger.warning(
            "%s: pauses; onsets of its events are taken for times on its clock, not for counts of its samples",
            recording.file,
        )
    add_segments(read, cues, recording.name, root)
    if described and not events:
        read.lost += [_lost_table(described)]
    elif reader.sounds is None:
        read.lost += what_stimuli_miss(events, cues, recording.name)
    else:
        markers = None if described else missing_markers(recording.file)
        read.lost += what_rules_miss(reader.sounds, found, events, recording.name, markers)
    if reader.sounds is not None:
        read.rules = segments_by_rule(reader.sounds, found)
    return read


def _apply_interruptions(raw: BaseRaw, events: Sequence[Event]) -> None:
    """Annotate interruptions that ``events.tsv`` names: converters write them where the format cannot say them."""
    for event in events:
        if is_interruption(event.name):
            raw.annotations.append(event.onset + raw.first_time, event.duration or 0.0, event.name)


def _warn_of_boundaries(read: RawRecording, events: Sequence[Event], table: Path) -> None:
    """Say that rows are not taken for interruptions which may be some: EEGLAB calls them as linguists call others."""
    found = [
        event
        for event in events
        if is_boundary(event.name) and not any(abs(event.onset * read.rate - at) < 2 for at in read.breaks)
    ]
    if found:
        logger.warning(
            "%s: %d rows %r are not taken for interruptions; if something was cut out there, call them 'BAD boundary'",
            table, len(found), found[0].name,
        )  # fmt: skip


def _lost_table(table: Path) -> Lost:
    """What a table of events without any costs; one that has not even a header is damaged."""
    if table.read_text(encoding="utf-8-sig").strip():
        logger.warning("%s: has no rows with an onset; the recording is kept without a sound", table)
        return Lost("sound", "its events.tsv has no rows")
    logger.warning("%s: is empty; the recording is kept without a sound", table)
    return Lost("sound", "its events.tsv is empty", missing=True)


def _rows_by_channel(raw: BaseRaw, table: Path) -> dict[str, dict[str, str]]:
    """Rows of ``channels.tsv``; one of a name that the file has twice is of each, or they follow the file's order."""
    listed: dict[str, list[Row]] = {}
    for row in read_rows(table):
        listed.setdefault(row.cells.get("name", ""), []).append(row)
    if not listed:
        logger.warning("%s: has no rows; the types of channels are those of the recording", table)
    rows: dict[str, dict[str, str]] = {}
    for name, same in listed.items():
        channels = numbered(raw).get(name, [name])
        if len(same) not in (1, len(channels)):
            raise DataError(f"{same[1].where}: channel {name!r} occurs twice; give each channel its own name")
        rows |= {channel: row.cells for channel, row in zip(channels, same * len(channels), strict=False)}
    return rows


def _apply_channels(raw: BaseRaw, table: Path, recording: BidsRecording) -> dict[str, str]:
    """Set types and bad channels as ``channels.tsv`` has them; MEG files know their own types.

    Returns:
        Units by channel of the recording.
    """
    rows = _rows_by_channel(raw, table)
    known = match_names(raw.ch_names, rows, key_of(recording.datatype))
    if rows and not known:
        raise DataError(
            f"{table}: none of its channels ({', '.join(list(rows)[:3])}, ...) is in {recording.file.name} "
            f"({', '.join(raw.ch_names[:3])}, ...); correct the names"
        )
    if rows and len(known) < len(raw.ch_names):
        others = [name for name in raw.ch_names if name not in known]
        logger.warning("%s: says nothing of %d channels (%s, ...)", table, len(others), ", ".join(others[:3]))
    kinds = {name: cells.get("type", "").upper() for name, cells in rows.items()}
    taken = [kind for kind, what in TYPES.items() if what != "stim"]
    absent = [name for name in rows.keys() - known.values() if kinds[name] in taken or kinds[name].startswith("MEG")]
    if absent:
        logger.warning(
            "%s: %d of its channels (%s, ...) are not in %s",
            table, len(absent), ", ".join(sorted(absent)[:3]), recording.file.name,
        )  # fmt: skip
    found = {name: rows[listed] for name, listed in known.items()}
    if recording.datatype != "meg":
        raw.set_channel_types(
            {name: TYPES.get(kinds[listed], "misc") for name, listed in known.items() if kinds[listed]},
            on_unit_change="ignore",
            verbose="ERROR",
        )
    raw.info["bads"] = [name for name, cells in found.items() if cells.get("status", "").lower() == "bad"]
    return {name: cells.get("units", "") for name, cells in found.items()}
