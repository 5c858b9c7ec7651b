"""Rules that say which sound belongs to which stretch of EEG, for datasets that do not say it themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Condition
from eeg2speech.data.events.cues import Cue
from eeg2speech.data.events.events import Event
from eeg2speech.data.files.reading import inside

SPECIFICATION = re.compile(r"(.?[<>^])?0?\d{0,3}")
"""Padding that a template may ask for: ``{run:0>2}``. Wider fields would only fill the memory."""
REGULAR = ("match", "event")
TEMPLATES = ("sound", "onset", "offset", "duration", "label", "text")


@dataclass
class SoundRule:
    """Which sound belongs to a recording or to some of its events.

    Rules are tried in order; the first that matches wins, for every event anew. Texts in braces are filled in from
    the recording's name (subject, session, task, run, acquisition, stem: its id, folder: where it lies), the event's
    columns, and the named groups of both expressions, of which the later win. ``{run:0>2}`` pads with zeros.

    Attributes:
        match: Regular expression that must be found in the recording's path relative to the dataset.
        sound: Sound file relative to the dataset, e.g. stimuli/audio{run}.wav; empty if there is none.
        event: Regular expression that must be found in the event's trial_type (else value, else annotation); null
            makes the recording one segment, unless a rule before this one has found events.
        onset: Seconds of EEG added to the event's onset, or to the recording's start.
        offset: Seconds in the sound at which the segment starts, e.g. {wav_onset}.
        duration: Seconds; null for the event's own, or until the sound or the recording ends.
        condition: What the subject did.
        label: Class of the segment, e.g. {trial_type}.
        text: What was said, e.g. {value}.
        channel: Of a sound with several: left, right, its number from 0, or the mean of all.
    """

    match: str = ""
    sound: str = ""
    event: str | None = None
    onset: float | str = 0.0
    offset: float | str = 0.0
    duration: float | str | None = None
    condition: Condition = "listening"
    label: str = ""
    text: str = ""
    channel: ChannelChoice = "mean"


def check_rules(rules: Sequence[SoundRule]) -> None:
    """Refuse rules that could never work.

    Raises:
        ConfigError: An expression or a template is malformed; names the rule and the field.
    """
    for number, rule in enumerate(rules):
        for key in REGULAR:
            try:
                re.compile(getattr(rule, key) or "")
            except re.error as error:
                value = getattr(rule, key)
                raise ConfigError(f"sounds[{number}].{key}={value!r}: no regular expression ({error})") from error
        for key in TEMPLATES:
            if isinstance(template := getattr(rule, key), str):
                _names(template, f"sounds[{number}].{key}")


def by_event(rules: Sequence[SoundRule]) -> bool:
    """Whether a rule asks for events."""
    return any(rule.event is not None for rule in rules)


@dataclass
class Ruled:
    """What rules find in a recording.

    Attributes:
        cues: In the order of the events.
        found: How many cues each rule made.
        fitting: Rules whose ``match`` is found in the recording's path.
        passed: Events that lack a number that their rule asks for.
    """

    cues: list[Cue] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    fitting: list[int] = field(default_factory=list)
    passed: list[Event] = field(default_factory=list)


def described_rules(rules: Sequence[SoundRule]) -> dict[str, list[dict[str, Any]]]:
    """Rules as settings of a store; the mean of all channels, which older stores do not name, is left out."""
    described = [asdict(rule) for rule in rules]
    for rule in described:
        if rule["channel"] == "mean":
            del rule["channel"]
    return {"sounds": described}


def ruled_cues(
    rules: Sequence[SoundRule], root: Path, path: str, names: Mapping[str, str], events: Sequence[Event]
) -> Ruled:
    """Apply rules to a recording.

    An event that lacks a number its rule asks for (``n/a`` in the table) is passed over, and so is a trigger if the
    rule finds an annotation at the same sample: it is in the file twice.

    Args:
        rules: Tried in order.
        root: Folder of the dataset.
        path: The recording's path relative to it, with slashes.
        names: What templates may name besides columns and groups.
        events: Of the recording.

    Raises:
        ConfigError: A template is malformed or names what there is not.
        DataError: A filled-in template leads out of the dataset or is no number.
    """
    ruled = Ruled(found=[0] * len(rules))
    cues: dict[int, Cue] = {}
    taken: set[int] = set()
    for number, rule in enumerate(rules):
        found = re.search(rule.match, path)
        if not found:
            continue
        ruled.fitting.append(number)
        known = {**names, **_groups(found)}
        if rule.event is None:
            if not taken:
                cue = _cue(rule, f"sounds[{number}]", root, known, None, path)
                ruled.cues = [cue] if cue else []
                ruled.found[number] = len(ruled.cues)
                return ruled
            continue
        hits = {
            index: hit
            for index, event in enumerate(events)
            if index not in taken and (hit := re.search(rule.event, event.name))
        }
        taken |= hits.keys()
        selected = {events[index].where for index in hits}
        for index, hit in hits.items():
            event = events[index]
            if not selected.intersection(event.twins):
                known = {**names, **event.columns, **_groups(found), **_groups(hit)}
                cue = _cue(rule, f"sounds[{number}]", root, known, event, event.where)
                if cue:
                    cues[index] = cue
                    ruled.found[number] += 1
                else:
                    ruled.passed.append(event)
    ruled.cues = [cues[index] for index in sorted(cues)]
    return ruled


def _cue(
    rule: SoundRule, which: str, root: Path, known: Mapping[str, str], event: Event | None, where: str
) -> Cue | None:
    sound = _fill(rule.sound, known, f"{which}.sound")
    onset, offset = (_number(getattr(rule, field), known, f"{which}.{field}", where) for field in ("onset", "offset"))
    duration = event.duration if event else None
    if rule.duration is not None:
        duration = _number(rule.duration, known, f"{which}.duration", where)
    if onset is None or offset is None or (duration is None and rule.duration is not None):
        return None
    if duration is not None and duration <= 0:
        raise DataError(f"{where}: {which}.duration gives {duration:g} s; make it more than 0")
    return Cue(
        (event.onset if event else 0.0) + onset,
        duration,
        inside(root, sound, where) if sound else None,
        offset,
        rule.condition,
        _fill(rule.label, known, f"{which}.label"),
        _fill(rule.text, known, f"{which}.text"),
        where,
        rule.channel,
        origin=event.onset if event else 0.0,
    )


def _groups(found: re.Match[str]) -> dict[str, str]:
    return {name: text or "" for name, text in found.groupdict().items()}


def _number(value: float | str, known: Mapping[str, str], field: str, where: str) -> float | None:
    """Seconds, None where the table knows none."""
    text = _fill(value, known, field) if isinstance(value, str) else str(value)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{where}: {field}={value!r} gives {text!r}, which is no number of seconds; correct one of them"
        )
    return number


def _fill(template: str, known: Mapping[str, str], field: str) -> str:
    missing = [name for name in _names(template, field) if name not in known]
    if missing:
        there = ", ".join(sorted(name for name in known if name))
        raise ConfigError(f"{field}={template!r}: there is no {missing[0]!r}; there are {there}")
    return Formatter().vformat(template, (), known)


def _names(template: str, field: str) -> list[str]:
    """Names in a template, which may hold nothing but names and padding: no attributes, no items, no code."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"{field}={template!r}: malformed ({error}); write names in braces") from error
    names = []
    for _, name, specification, conversion in parts:
        if name is None:
            continue
        if not name or name.isdigit() or set(name) & set(".[]!{}") or conversion:
            raise ConfigError(f"{field}={template!r}: {{{name}}} is no name; write a name in braces, such as {{run}}")
        if not SPECIFICATION.fullmatch(specification or ""):
            raise ConfigError(f"{field}={template!r}: {specification!r} is no padding; write such as {{run:0>2}}")
        names.append(name)
    return names
