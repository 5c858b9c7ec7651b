"""Reader of BIDS datasets: EEG, intracranial EEG and MEG, with sounds by ``stim_file`` or by rules."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from mne.io import BaseRaw

from eeg2speech.data.discontinuities import is_interruption
from eeg2speech.data.montage import Position
from eeg2speech.data.raw import UNKNOWN
from eeg2speech.data.readers.base import chosen, describe
from eeg2speech.data.readers.bids_electrodes import electrodes
from eeg2speech.data.readers.bids_layout import BidsRecording, Datatype, read_rows, recordings, sidecar
from eeg2speech.data.readers.bids_stimuli import stimulus_cues
from eeg2speech.data.readers.cues import Cue
from eeg2speech.data.readers.events import read_events
from eeg2speech.data.readers.paired import add_segments
from eeg2speech.data.readers.recording_files import decodable, open_recording, placed_by_name
from eeg2speech.data.readers.sound_rules import SoundRule, check_rules, ruled_cues
from eeg2speech.data.store import Description
from eeg2speech.errors import DataError
from eeg2speech.types import Channel, Condition, RawRecording, Source

TYPES = {"EEG": "eeg", "SEEG": "seeg", "ECOG": "ecog", "EOG": "eog", "VEOG": "eog", "HEOG": "eog"}
"""Channel types of ``channels.tsv`` that are decoded from, or that show eye movements."""
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
        sounds: Rules that say which sound belongs to what; without them stim_file says it.
        montage: Where electrodes are by name if electrodes.tsv and the file do not say it.
        onset: Seconds added to every onset: how long after its trigger a sound could be heard.
        condition: What the subject did while sounds of stim_file were played.
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

    def sources(self) -> list[Source]:
        """One recording per file, or per run of a split recording."""
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
        root = self.root.expanduser()
        try:
            said = json.loads((root / "dataset_description.json").read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):
            said = {}
        said = said if isinstance(said, dict) else {}
        authors = said.get("Authors")
        names = ", ".join(str(author) for author in authors) if isinstance(authors, list) else ""
        citation = said.get("HowToAcknowledge") or names
        rules = {"sounds": [asdict(rule) for rule in self.sounds]} if self.sounds else {}
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
        )

    def cues(self, recording: BidsRecording) -> list[Cue]:
        """Which sounds belong to what in a recording; reads tables only.

        Raises:
            ConfigError: A rule is malformed.
            DataError: A table is damaged or names a file outside the dataset.
        """
        root = self.root.expanduser()
        table = sidecar(root, recording, "events.tsv")
        events = read_events(table) if table else []
        if self.sounds is None:
            cues = stimulus_cues(root, events, self.condition, recording.name)
        else:
            path = recording.file.relative_to(root)
            own = {"stem": recording.name, "folder": path.parent.as_posix()}
            names = dict.fromkeys(NAMED, "") | recording.entities | own
            cues = ruled_cues(self.sounds, root, path.as_posix(), names, events)
        return [replace(cue, onset=cue.onset + self.onset) for cue in cues]

    def _recordings(self) -> list[BidsRecording]:
        root = self.root.expanduser()
        if not root.is_dir():
            raise DataError(f"{self.root}: no such folder; give the folder of the dataset that holds sub-*")
        kinds: tuple[Datatype, ...] = (self.datatype,) if self.datatype else ("eeg", "ieeg", "meg")
        by_kind = {kind: there for kind in kinds if (there := recordings(root, kind))}
        if not by_kind:
            missing = sum(file.is_symlink() and not file.exists() for file in root.glob(f"sub-*/**/*_{kinds[0]}.*"))
            advice = (
                f"{missing} files are links to content that was not downloaded; fetch it (datalad get)"
                if missing
                else "give the folder of the dataset that holds sub-*"
            )
            raise DataError(f"{self.root}: holds no recording of {' or '.join(kinds)} that can be read; {advice}")
        if len(by_kind) > 1:
            raise DataError(f"{self.root}: holds {' and '.join(by_kind)}; choose one with datatype")
        (found,) = by_kind.values()
        for entity in ("subject", "session", "task", "run"):
            found = _selected(found, entity, getattr(self, f"{entity}s"), root)
        return found

    def _described_by(self, recording: BidsRecording) -> list[Path]:
        """Tables and sounds that a recording needs, as far as they can be found."""
        root = self.root.expanduser()
        tables = [sidecar(root, recording, name) for name in ("channels.tsv", "events.tsv", "electrodes.tsv")]
        try:
            sounds = {cue.sound for cue in self.cues(recording)}
        except DataError:  # told when the recording is read
            sounds = set()
        return [table for table in tables if table] + sorted(sound for sound in sounds if sound and sound.is_file())


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
    root = reader.root.expanduser()
    cues = reader.cues(recording)
    raw = open_recording(recording.file)
    _apply_interruptions(raw, sidecar(root, recording, "events.tsv"))
    table = sidecar(root, recording, "channels.tsv")
    if table:
        _apply_channels(raw, table, recording)
    read = decodable(raw, recording.datatype, recording.file)
    places = electrodes(root, recording)
    if places:  # those of the file may be of another cap or in other coordinates: all or none
        read.channels = [_placed(channel, places.get(channel.name, UNKNOWN)) for channel in read.channels]
    read.channels = placed_by_name(read.channels, reader.montage, recording.file)
    if not cues and reader.sounds:
        logger.info("%s: no rule finds a sound; kept without", recording.name)
    if read.clocked and cues:
        logger.warning(
            "%s: pauses; onsets of its events are taken for times on its clock, not for counts of its samples",
            recording.file,
        )
    add_segments(read, cues, recording.name, root)
    return read


def _placed(channel: Channel, place: Position) -> Channel:
    x, y, z = place
    return replace(channel, x=x, y=y, z=z)


def _apply_interruptions(raw: BaseRaw, table: Path | None) -> None:
    """Annotate interruptions that ``events.tsv`` names: converters write them where the format cannot say them."""
    for event in read_events(table) if table else []:
        if is_interruption(event.name):
            raw.annotations.append(event.onset + raw.first_time, event.duration or 0.0, event.name)


def _apply_channels(raw: BaseRaw, table: Path, recording: BidsRecording) -> None:
    """Set types and bad channels as ``channels.tsv`` has them; MEG files know their own types."""
    rows = {}
    for row in read_rows(table):
        name = row.cells.get("name", "")
        if name in rows:
            raise DataError(f"{row.where}: channel {name!r} occurs twice; give each channel its own name")
        rows[name] = row.cells
    known = [name for name in raw.ch_names if name in rows]
    if rows and not known:
        raise DataError(
            f"{table}: none of its channels ({', '.join(list(rows)[:3])}, ...) is in {recording.file.name} "
            f"({', '.join(raw.ch_names[:3])}, ...); correct the names"
        )
    if rows and len(known) < len(raw.ch_names):
        others = [name for name in raw.ch_names if name not in rows]
        logger.warning("%s: says nothing of %d channels (%s, ...)", table, len(others), ", ".join(others[:3]))
    if recording.datatype != "meg":
        kinds = {name: rows[name].get("type", "").upper() for name in known}
        raw.set_channel_types(
            {name: TYPES.get(kind, "misc") for name, kind in kinds.items() if kind},
            on_unit_change="ignore",
            verbose="ERROR",
        )
    raw.info["bads"] = [name for name in known if rows[name].get("status", "").lower() == "bad"]
