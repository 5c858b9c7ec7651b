"""Reader of folders of files in any format that mne reads."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.electrodes.names import key_of, match_names
from eeg2speech.data.events.paired import add_segments, delayed
from eeg2speech.data.events.recording_files import FORMATS, decodable, numbered, open_recording
from eeg2speech.data.events.sound_rules import SoundRule, by_event, check_rules, described_rules, ruled_cues
from eeg2speech.data.events.soundless import segments_by_rule, what_rules_miss
from eeg2speech.data.events.triggers import recorded_events
from eeg2speech.data.files.companions import LED_TO, missing_markers, orphans, unread_format
from eeg2speech.data.files.placing import placed_by_name
from eeg2speech.data.files.signal_files import signal_files
from eeg2speech.data.files.units import check_gain
from eeg2speech.data.readers.base import chosen, describe
from eeg2speech.data.store.store import Description

STEM = r"(?P<subject>[^/]+)$"

logger = logging.getLogger(__name__)


@dataclass
class Files:
    r"""A folder of recordings in any format that mne reads: EDF, BDF, GDF, BrainVision, EEGLAB, FIF, CNT, KIT, EGI.

    Recordings without a sound are kept for training that needs none. Checked on one published EEGLAB file; EDF, BDF,
    BrainVision, EEGLAB and FIF on files written by mne and its exporters; the others not at all.

    Attributes:
        root: Folder that is searched.
        pattern: Regular expression found in each file's path relative to root, without its suffix; its groups subject,
            session and run say who and what was recorded, e.g. (?P<subject>S\d+)/run(?P<run>\d+)$. Files that do not
            match are passed over. By default the file's name is the subject.
        subjects: Participants; all if not given.
        sounds: Rules that say which sound belongs to what; events are the annotations of the file, and its
            triggers by their codes, e.g. event: ^65$.
        datatype: What to take: scalp EEG, intracranial EEG or MEG.
        leave_out: Names of channels that the file calls EEG but are not, e.g. [EOG1,M1].
        montage: Where electrodes are by name if the file does not say it.
        onset: Seconds added to every onset: how long after its trigger a sound could be heard.
        gain: Factor on all values where the unit in the file is wrong or missing, e.g. 1e-6 for microvolts that are
            taken for volts.
    """

    root: Path
    pattern: str = STEM
    subjects: list[str | int] | None = None
    sounds: list[SoundRule] | None = None
    datatype: Literal["eeg", "ieeg", "meg"] = "eeg"
    leave_out: list[str] | None = None
    montage: str = "standard_1005"
    onset: float = 0.0
    gain: float = 1.0

    def sources(self) -> list[Source]:
        """One recording per file."""
        check_gain(self.gain)
        check_rules(self.sounds or [])
        try:
            pattern = re.compile(self.pattern)
        except re.error as error:
            raise ConfigError(f"pattern={self.pattern!r}: no regular expression ({error})") from error
        if "subject" not in pattern.groupindex:
            raise ConfigError(f"pattern={self.pattern!r}: has no group subject; write such as {STEM}")
        root = expanded(self.root)
        paths = _paths(root)
        found = [(path, match) for path in paths if (match := pattern.search(_stem(path)))]
        if len(found) < len(paths):
            logger.info("%s: %d of %d files do not match pattern", root, len(paths) - len(found), len(paths))
        if not found:
            what = f"none of {len(paths)} recordings matches pattern={self.pattern!r}" if paths else "no recording"
            raise DataError(f"{self.root}: {what}; it is searched for {', '.join(FORMATS)}")
        keep = set(chosen(sorted({match["subject"] for _, match in found}), self.subjects, self.root))
        ids = Counter(_plain(_stem(path)) for path, _ in found)
        sources = []
        for path, match in found:
            said = {name: text or "" for name, text in match.groupdict().items()}
            if said["subject"] in keep:
                name = _plain(_stem(path))
                name = name if ids[name] == 1 else _plain(path)
                load = partial(read_file, self, path, name, said)
                inputs = tuple(signal_files(root / path))
                sources.append(
                    Source(name, said["subject"], said.get("session", ""), said.get("run", ""), inputs, load)
                )
        return sources

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        rules: dict[str, Any] = described_rules(self.sounds) if self.sounds else {}
        rules |= {"gain": self.gain} if self.gain != 1 else {}
        return describe(
            expanded(self.root).resolve().name,
            source="files of the user's own",
            license="unknown",
            citation="unknown",
            reader="files",
            pattern=self.pattern,
            datatype=self.datatype,
            montage=self.montage,
            onset=self.onset,
            leave_out=self.leave_out or [],
            **rules,
        )


def _paths(root: Path) -> list[str]:
    """Recordings below a folder, relative to it, sorted; parts of split ones and of folders are left out.

    A signal without its header is among them: opening it says so.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder that holds the recordings")
    files = [path for path in root.rglob("*") if not _hidden(path.relative_to(root))]
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
        logger.warning("%s: files in formats that are not supported are passed over: %s", root, shown)
    return sorted(kept)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _stem(path: str) -> str:
    endings = (*FORMATS, *LED_TO)
    ending = max((suffix for suffix in endings if path.lower().endswith(suffix)), key=len)
    return path[: -len(ending)]


def _plain(path: str) -> str:
    return re.sub(r"[/\\:\x00-\x1f]", "_", path)


def read_file(reader: Files, path: str, name: str, said: dict[str, str]) -> RawRecording:
    """Read a recording. The signal stays in its file.

    Args:
        reader: What is to be done with it.
        path: Relative to the reader's folder.
        name: Id of the recording.
        said: What its path says, by name of the group.

    Raises:
        ConfigError: A rule is malformed.
        DataError: The recording or one of its sounds is damaged or missing.
    """
    root = expanded(reader.root)
    file = root / path
    raw = open_recording(file)
    leave_out = [name for wanted in reader.leave_out or [] for name in numbered(raw).get(wanted, [wanted])]
    named = match_names(leave_out, raw.ch_names, key_of(reader.datatype))
    missing = [channel for channel in leave_out if channel not in named]
    if missing:
        logger.warning("%s: has no channel %s, which leave_out names", file, ", ".join(missing))
    types = dict.fromkeys(named.values(), "misc")
    if reader.datatype == "ieeg":  # most formats cannot say that electrodes lie inside the head
        inner = {name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "eeg"}
        types = dict.fromkeys(sorted(inner), "seeg") | types
    raw.set_channel_types(types, on_unit_change="ignore", verbose="ERROR")
    read = decodable(raw, reader.datatype, file, gain=reader.gain)
    read.channels = placed_by_name(read.channels, reader.montage, file)
    names = dict.fromkeys(("session", "run"), "") | said | {"stem": Path(_stem(path)).name, "folder": _folder(path)}
    rules = reader.sounds or []
    events = recorded_events(raw, file, read) if by_event(rules) else []
    ruled = ruled_cues(rules, root, path, names, events)
    read.lost = what_rules_miss(rules, ruled, events, name, missing_markers(file))
    read.rules = segments_by_rule(rules, ruled)
    add_segments(read, delayed(ruled.cues, reader.onset), name, root)
    return read


def _folder(path: str) -> str:
    return Path(path).parent.as_posix()
