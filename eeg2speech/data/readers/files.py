"""Reader of folders of files in any format that mne reads."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.electrodes.names import key_of, match_names
from eeg2speech.data.events.cues import add_segments, delayed
from eeg2speech.data.events.sound_rules import (
    SoundRule,
    check_rules,
    report_losses,
    ruled_cues,
    rules_as_settings,
    segments_by_rule,
    uses_events,
)
from eeg2speech.data.events.triggers import recorded_events
from eeg2speech.data.files.bids_layout import Datatype
from eeg2speech.data.files.placing import placed_by_name
from eeg2speech.data.files.recording_files import FORMATS, decodable, numbered, open_recording
from eeg2speech.data.files.signal_files import HEADERS, missing_markers, orphans, signal_files, unread_format
from eeg2speech.data.files.units import check_gain
from eeg2speech.data.readers.base import Reader
from eeg2speech.data.store.store import Description

STEM = r"(?P<subject>[^/]+)$"

logger = logging.getLogger(__name__)


@dataclass
class Files(Reader):
    r"""A folder of recordings in any format that mne reads: EDF, BDF, GDF, BrainVision, EEGLAB, FIF, CNT, KIT, EGI.

    Recordings without a sound are kept for stage 1, which needs no sound. The reader was tested on one published EEGLAB
    file and on EDF, BDF, BrainVision, EEGLAB and FIF files written by mne and its exporters. The other formats were not
    tested.

    Attributes:
        root: Folder that is searched.
        subjects: Participants; all if not given.
        pattern: Regular expression found in each file's path relative to root, without its suffix; its groups subject,
            session and run identify the recording, e.g. (?P<subject>S\d+)/run(?P<run>\d+)$. Files that do not match are
            skipped. By default the file's name is the subject.
        sounds: Rules that assign sounds. Events are the annotations of the file and its triggers, identified by their
            codes, e.g. event: ^65$.
        datatype: Kind of signal: scalp EEG, intracranial EEG or MEG.
        leave_out: Names of channels that are EEG according to the file but must not be used as EEG, e.g. [EOG1,M1].
        montage: Standard positions by electrode name, used if the file contains no positions.
        onset: Seconds added to every onset, to correct for the delay from a trigger to its sound.
        gain: Factor for all values, if the unit in the file is wrong or missing, e.g. 1e-6 for microvolts that are
            treated as volts.
    """

    name = "files"
    url = "files of the user's own"
    layout = "recordings"

    pattern: str = STEM
    sounds: list[SoundRule] | None = None
    datatype: Datatype = "eeg"
    leave_out: list[str] | None = None
    montage: str = "standard_1005"
    onset: float = 0.0
    gain: float = 1.0

    def find(self, root: Path) -> Iterator[Source]:
        """One recording per file."""
        check_gain(self.gain)
        check_rules(self.sounds or [])
        try:
            pattern = re.compile(self.pattern)
        except re.error as error:
            raise ConfigError(f"pattern={self.pattern!r}: no regular expression ({error})") from error
        if "subject" not in pattern.groupindex:
            raise ConfigError(f"pattern={self.pattern!r}: has no group subject; write such as {STEM}")
        paths = _paths(root)
        found = {path: match for path in paths if (match := pattern.search(_stem(path)))}
        if len(found) < len(paths):
            logger.info("%s: %d of %d files do not match pattern", root, len(paths) - len(found), len(paths))
        if not found:
            what = f"none of {len(paths)} recordings matches pattern={self.pattern!r}" if paths else "no recording"
            raise DataError(f"{self.root}: {what}; it is searched for {', '.join(FORMATS)}")
        ids = Counter(_plain(_stem(path)) for path in found)
        for path, match in found.items():
            groups = {"session": "", "run": ""} | match.groupdict(default="")
            name = _plain(_stem(path))
            name = name if ids[name] == 1 else _plain(path)
            load = partial(read_file, self, path, name, groups)
            inputs = tuple(signal_files(root / path))
            yield Source(name, groups["subject"], groups["session"], groups["run"], inputs, load)

    def description(self) -> Description:
        """Content of ``dataset.json``; the title is the name of the folder."""
        return replace(super().description(), name=expanded(self.root).resolve().name)

    def settings(self) -> dict[str, Any]:
        """Options that change the content of the store; rules and gain only where they are given."""
        settings = super().settings() | {"leave_out": self.leave_out or []} | rules_as_settings(self.sounds)
        return {key: value for key, value in settings.items() if (key, value) not in (("sounds", None), ("gain", 1.0))}


def _paths(root: Path) -> list[str]:
    """Recordings below a folder, relative to it, sorted, without later parts of split ones and files inside folders.

    Signals without a header are listed: opening them raises an error.
    """
    files = [f for f in root.rglob("*") if not any(part.startswith(".") for part in f.relative_to(root).parts)]
    found = {path.relative_to(root) for path in files if path.name.lower().endswith(FORMATS)}
    found |= {path.relative_to(root) for path in orphans(files)}
    kept = []
    for path in found:
        within = any(above in found for above in path.parents)
        part = re.fullmatch(r"(.+?)(_split-(?!0*1(_|$))\d+.*|-\d+)", path.stem) if path.suffix == ".fif" else None
        continues = part and any(other.stem.startswith(part[1]) and other != path for other in found)
        if not (within or continues):
            kept.append(path.as_posix())
    others = Counter(name for path in files if (name := unread_format(path, FORMATS)))
    if others:
        shown = ", ".join(f"{count} {name}" for name, count in sorted(others.items()))
        logger.warning("%s: files in formats that are not supported are skipped: %s", root, shown)
    return sorted(kept)


def _stem(path: str) -> str:
    ending = max((suffix for suffix in (*FORMATS, *HEADERS) if path.lower().endswith(suffix)), key=len)
    return path[: -len(ending)]


def _plain(path: str) -> str:
    return re.sub(r"[/\\:\x00-\x1f]", "_", path)


def read_file(reader: Files, path: str, name: str, groups: dict[str, str]) -> RawRecording:
    """Read a recording by its path in the reader's folder, with the groups of the pattern in that path."""
    root = expanded(reader.root)
    file = root / path
    raw = open_recording(file)
    leave_out = [name for wanted in reader.leave_out or [] for name in numbered(raw).get(wanted, [wanted])]
    named = match_names(leave_out, raw.ch_names, key_of(reader.datatype))
    missing = [channel for channel in leave_out if channel not in named]
    if missing:
        logger.warning("%s: has no channel %s, which leave_out names", file, ", ".join(missing))
    types = dict.fromkeys(named.values(), "misc")
    if reader.datatype == "ieeg":  # most formats have no type for electrodes inside the head
        inner = {name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "eeg"}
        types = dict.fromkeys(sorted(inner), "seeg") | types
    raw.set_channel_types(types, on_unit_change="ignore", verbose="ERROR")
    read = decodable(raw, reader.datatype, file, gain=reader.gain)
    read.channels = placed_by_name(read.channels, reader.montage, file)
    names = groups | {"stem": Path(_stem(path)).name, "folder": Path(path).parent.as_posix()}
    rules = reader.sounds or []
    events = recorded_events(raw, file, read) if uses_events(rules) else []
    ruled = ruled_cues(rules, root, path, names, events)
    read.lost = report_losses(rules, ruled, events, name, missing_markers(file))
    read.rules = segments_by_rule(rules, ruled)
    add_segments(read, delayed(ruled.cues, reader.onset), name, root)
    return read
