"""Reader of BIDS datasets: EEG, intracranial EEG and MEG, with sounds by ``stim_file`` or by rules."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mne.io import BaseRaw

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Condition, Lost, RawRecording, Source
from eeg2speech.data.events.cues import add_segments, delayed, on_clock
from eeg2speech.data.events.events import Event, read_events, without_marks
from eeg2speech.data.events.sound_rules import (
    Ruled,
    SoundRule,
    check_rules,
    report_losses,
    ruled_cues,
    rules_as_settings,
    segments_by_rule,
    uses_events,
)
from eeg2speech.data.events.triggers import recorded_events
from eeg2speech.data.files.bids_layout import BidsRecording, Datatype, recordings, sidecar, sidecars
from eeg2speech.data.files.discontinuities import is_boundary, is_interruption
from eeg2speech.data.files.downloads import check_downloaded
from eeg2speech.data.files.placing import placed_by_name
from eeg2speech.data.files.recording_files import decodable, open_recording
from eeg2speech.data.files.signal_files import missing_markers, signal_files
from eeg2speech.data.files.units import check_gain
from eeg2speech.data.readers.base import Reader, select
from eeg2speech.data.readers.bids_channels import apply_channels
from eeg2speech.data.readers.bids_electrodes import with_electrodes
from eeg2speech.data.readers.bids_stimuli import report_other_stimuli, stimulus_cues
from eeg2speech.data.store.store import Description

NAMED = ("subject", "session", "task", "run", "acquisition")
"""Entities that templates may use also where the recording does not have them."""

logger = logging.getLogger(__name__)


@dataclass
class BidsSelection(Reader):
    """Recordings of a BIDS dataset by their entities.

    Attributes:
        root: Folder that holds sub-*.
        subjects: Participants, e.g. [01,02]; all if not given.
        sessions: Sessions; all if not given.
        tasks: Tasks; all if not given.
        runs: Runs; all if not given.
        onset: Seconds added to every onset, to correct for the delay from a trigger to its sound.
    """

    layout = "sub-*"

    sessions: list[str | int] | None = None
    tasks: list[str] | None = None
    runs: list[str | int] | None = None
    onset: float = 0.0


@dataclass
class Bids(BidsSelection):
    """A dataset in the Brain Imaging Data Structure.

    Sounds are named by stim_file in events.tsv, relative to the folder stimuli, or by rules. Recordings without any
    sound are kept for stage 1, which needs no sound.

    The reader follows the standard. It was tested on one published recording in BrainVision format with CapTrak
    electrodes, and on EDF, BDF, EEGLAB and FIF files written by mne and its exporters.

    Attributes:
        datatype: Kind of signal; the only one in the dataset if not given.
        sounds: Rules that assign sounds. Without rules, stim_file assigns the sounds. Without events.tsv, events are
            the annotations of the recording and its triggers, identified by their codes.
        montage: Standard positions by electrode name, used if electrodes.tsv and the file contain no positions.
        condition: What the subject did while sounds of stim_file were played.
        gain: Factor for all values, if the unit in the file is wrong or missing, e.g. 1e-6 for microvolts that are
            treated as volts.
        channel: Channel of sounds with several channels that stim_file names: left, right, a number from 0, or the mean
            of all channels.
    """

    name = "bids"

    datatype: Datatype | None = None
    sounds: list[SoundRule] | None = None
    montage: str = "standard_1005"
    condition: Condition = "listening"
    gain: float = 1.0
    channel: ChannelChoice = "mean"

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per file, or per run of a split recording."""
        check_gain(self.gain)
        check_rules(self.sounds or [])
        for recording in self._recordings(root):
            subject, session, run = (recording.entities.get(key, "") for key in ("subject", "session", "run"))
            inputs = tuple(signal_files(recording.file) + self._described_by(recording))
            yield Source(recording.name, subject, session, run, inputs, partial(read_bids, self, recording))

    def description(self) -> Description:
        """Content of ``dataset.json``, as far as ``dataset_description.json`` has it."""
        root = expanded(self.root)
        check_downloaded(root / "dataset_description.json")
        try:
            said = json.loads((root / "dataset_description.json").read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):
            said = {}
        said = said if isinstance(said, dict) else {}
        authors = said.get("Authors")
        names = ", ".join(str(author) for author in authors) if isinstance(authors, list) else ""
        return replace(
            super().description(),
            name=str(said.get("Name") or root.resolve().name).strip(),
            source=str(said.get("DatasetDOI") or self.url),
            license=str(said.get("License") or self.license),
            citation=str(said.get("HowToAcknowledge") or names or self.citation),
        )

    def settings(self) -> dict[str, Any]:
        """Options that change the content of the store; some only where they are not the default."""
        settings = super().settings() | rules_as_settings(self.sounds)
        defaults = {"sounds": None, "gain": 1.0, "channel": "mean"}
        return {key: value for key, value in settings.items() if key not in defaults or value != defaults[key]}

    def cues(self, recording: BidsRecording, events: Sequence[Event]) -> Ruled:
        """Find the sounds of a recording, without adding ``onset``.

        Raises:
            ConfigError: A rule is malformed.
            DataError: A table names a file outside the dataset.
        """
        root = expanded(self.root)
        if self.sounds is None:
            return Ruled(stimulus_cues(root, events, self.condition, self.channel))
        path = recording.file.relative_to(root)
        own = {"stem": recording.name, "folder": path.parent.as_posix()}
        names = dict.fromkeys(NAMED, "") | recording.entities | own
        return ruled_cues(self.sounds, root, path.as_posix(), names, events)

    def _recordings(self, root: Path) -> list[BidsRecording]:
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
        positions = [] if recording.datatype == "meg" else ["electrodes.tsv", "coordsystem.json"]
        described = [file for name in positions for file in sidecars(root, recording, name, free=("space",))]
        try:
            events = read_events(tables[1]) if tables[1] else []
            sounds = {cue.sound for cue in self.cues(recording, events).cues}
        except DataError:  # raised again when the recording is read
            sounds = set()
        return [table for table in tables if table] + described + sorted(sound for sound in sounds if sound)


def _selected(
    found: list[BidsRecording], entity: str, wanted: Sequence[str | int] | None, root: Path
) -> list[BidsRecording]:
    if wanted is None:
        return found
    there = sorted({recording.entities.get(entity, "") for recording in found})
    prefix = {"session": "ses-", "subject": "sub-"}.get(entity, f"{entity}-")
    try:
        keep = set(select(there, [str(label).removeprefix(prefix) for label in wanted], root))
    except DataError as error:
        raise DataError(str(error).replace("no participant", f"no {entity}")) from error
    return [recording for recording in found if recording.entities.get(entity, "") in keep]


def read_bids(reader: Bids, recording: BidsRecording) -> RawRecording:
    """Read a recording with its tables and sounds. The signal stays in its file."""
    root = expanded(reader.root)
    described = sidecar(root, recording, "events.tsv")
    events = read_events(described) if described else []
    raw = open_recording(recording.file)
    _apply_interruptions(raw, events)
    table = sidecar(root, recording, "channels.tsv")
    units = apply_channels(raw, table, recording) if table else {}
    read = decodable(raw, recording.datatype, recording.file, units, reader.gain)
    read.channels = with_electrodes(read.channels, root, recording)
    read.channels = placed_by_name(read.channels, reader.montage, recording.file)
    if described is not None:
        _warn_of_boundaries(read, events, described)
        events = on_clock(read, without_marks(events, read.rate))
    elif uses_events(reader.sounds):
        events = recorded_events(raw, recording.file, read)
    found = reader.cues(recording, events)
    cues = delayed(found.cues, reader.onset)
    if read.clocked and cues and described is not None:
        logger.warning(
            "%s: pauses; onsets of its events are treated as times on its clock, not as counts of its samples",
            recording.file,
        )
    add_segments(read, cues, recording.name, root)
    if described and not events:
        read.lost += [_lost_table(described)]
    elif reader.sounds is None:
        read.lost += report_other_stimuli(events, cues, recording.name)
    else:
        markers = None if described else missing_markers(recording.file)
        read.lost += report_losses(reader.sounds, found, events, recording.name, markers)
    if reader.sounds is not None:
        read.rules = segments_by_rule(reader.sounds, found)
    return read


def _apply_interruptions(raw: BaseRaw, events: Sequence[Event]) -> None:
    """Annotate interruptions of ``events.tsv``: converters write them there if the format has no annotations."""
    for event in events:
        if is_interruption(event.name):
            raw.annotations.append(event.onset + raw.first_time, event.duration or 0.0, event.name)


def _warn_of_boundaries(read: RawRecording, events: Sequence[Event], table: Path) -> None:
    """Warn of rows named boundary that are not treated as interruptions: EEGLAB and linguists both use that word."""
    found = [
        event
        for event in events
        if is_boundary(event.name) and not any(abs(event.onset * read.rate - at) < 2 for at in read.breaks)
    ]
    if found:
        logger.warning(
            "%s: %d rows %r are not treated as interruptions; if something was cut out there, call them 'BAD boundary'",
            table, len(found), found[0].name,
        )  # fmt: skip


def _lost_table(table: Path) -> Lost:
    """Report a table of events without rows; one without a header is damaged."""
    if table.read_text(encoding="utf-8-sig").strip():
        logger.warning("%s: has no rows with an onset; the recording is kept without a sound", table)
        return Lost("sound", "its events.tsv has no rows")
    logger.warning("%s: is empty; the recording is kept without a sound", table)
    return Lost("sound", "its events.tsv is empty", missing=True)
