"""Rules that assign sounds to stretches of EEG, for datasets without ``stim_file``."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Condition, Lost
from eeg2speech.data.events.cues import Cue
from eeg2speech.data.events.events import Event
from eeg2speech.data.files.reading import inside

PADDING = re.compile(r"(.?[<>^])?0?\d{0,3}")
"""Format that a template may use: ``{run:0>2}``. The width is limited, as a wide field would fill the memory."""
EXPRESSIONS = ("match", "event")
TEMPLATES = ("sound", "onset", "offset", "duration", "label", "text")
SHOWN = 8
"""Names of events in a warning."""

logger = logging.getLogger(__name__)


@dataclass
class SoundRule:
    """Assigns a sound to a recording or to some of its events.

    Rules are tried in order; for every event, the first that matches is used. Names in braces are replaced by values:
    of the recording (subject, session, task, run, acquisition, stem: its id, folder: its location), of the event's
    columns, and of the named groups of both expressions; later ones take precedence. ``{run:0>2}`` pads with zeros.

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
        channel: Channel of a sound with several channels: left, right, a number from 0, or the mean of all channels.
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


@dataclass
class Ruled:
    """Result of applying rules to a recording.

    Attributes:
        cues: Cues in the order of the events.
        found: Number of cues of each rule.
        fitting: Indices of the rules whose ``match`` is found in the recording's path.
        incomplete: Events that lack a number that their rule needs.
    """

    cues: list[Cue] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    fitting: list[int] = field(default_factory=list)
    incomplete: list[Event] = field(default_factory=list)


def check_rules(rules: Sequence[SoundRule]) -> None:
    """Check expressions and templates.

    Raises:
        ConfigError: An expression or a template is malformed; the message names the rule and the field.
    """
    for number, rule in enumerate(rules):
        for key in EXPRESSIONS:
            value = getattr(rule, key)
            try:
                re.compile(value or "")
            except re.error as error:
                raise ConfigError(f"sounds[{number}].{key}={value!r}: no regular expression ({error})") from error
        for key in TEMPLATES:
            if isinstance(template := getattr(rule, key), str):
                _names(template, f"sounds[{number}].{key}")


def uses_events(rules: Sequence[SoundRule] | None) -> bool:
    """Whether a rule uses events."""
    return any(rule.event is not None for rule in rules or ())


def rules_as_settings(rules: Sequence[SoundRule] | None) -> dict[str, list[dict[str, Any]]]:
    """Rules as settings of a store, without the default channel."""
    described = [asdict(rule) for rule in rules or ()]
    for rule in described:
        if rule["channel"] == "mean":
            del rule["channel"]
    return {"sounds": described} if described else {}


def ruled_cues(
    rules: Sequence[SoundRule], root: Path, path: str, names: dict[str, str], events: Sequence[Event]
) -> Ruled:
    """Apply rules to a recording.

    An event is skipped if it lacks a number that its rule needs (``n/a`` in the table). A trigger is skipped if the
    rule finds an annotation at the same sample: the event is in the file twice.

    Args:
        rules: Rules in the order in which they are tried.
        root: Folder of the dataset.
        path: Path of the recording relative to ``root``, with slashes.
        names: Values that templates may use besides columns and groups.
        events: Events of the recording.

    Raises:
        ConfigError: A template is malformed or uses an unknown name.
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
        known = names | found.groupdict(default="")
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
            if selected.intersection(event.twins):
                continue
            known = names | event.columns | found.groupdict(default="") | hit.groupdict(default="")
            cue = _cue(rule, f"sounds[{number}]", root, known, event, event.where)
            if cue:
                cues[index] = cue
                ruled.found[number] += 1
            else:
                ruled.incomplete.append(event)
    ruled.cues = [cues[index] for index in sorted(cues)]
    return ruled


def _cue(
    rule: SoundRule, which: str, root: Path, known: Mapping[str, str], event: Event | None, where: str
) -> Cue | None:
    sound = _fill(rule.sound, known, f"{which}.sound")
    onset, offset = (_number(getattr(rule, field), known, f"{which}.{field}", where) for field in ("onset", "offset"))
    start, duration = (event.onset, event.duration) if event else (0.0, None)
    if rule.duration is not None:
        duration = _number(rule.duration, known, f"{which}.duration", where)
    if onset is None or offset is None or (duration is None and rule.duration is not None):
        return None
    if duration is not None and duration <= 0:
        raise DataError(f"{where}: {which}.duration gives {duration:g} s; make it more than 0")
    return Cue(
        start + onset,
        duration,
        inside(root, sound, where) if sound else None,
        offset,
        rule.condition,
        _fill(rule.label, known, f"{which}.label"),
        _fill(rule.text, known, f"{which}.text"),
        where,
        rule.channel,
        origin=start,
    )


def _number(value: float | str, known: Mapping[str, str], field: str, where: str) -> float | None:
    """Seconds; None where the table has no value."""
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
    """Names in a template, which may hold only names and padding: no attributes, no items, no code."""
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
        if not PADDING.fullmatch(specification or ""):
            raise ConfigError(f"{field}={template!r}: {specification!r} is no padding; write such as {{run:0>2}}")
        names.append(name)
    return names


def report_losses(
    rules: Sequence[SoundRule], ruled: Ruled, events: Sequence[Event], name: str, markers: Path | None
) -> list[Lost]:
    """Warn of a recording in which rules find no events, or find events without the numbers that the rules need.

    Returns:
        What the recording lacks.
    """
    lost = []
    if ruled.incomplete:
        logger.warning(
            "%s: %d events lack a number that their rule needs (the first: %s); skipped",
            name, len(ruled.incomplete), ruled.incomplete[0].where,
        )  # fmt: skip
        reason = "events lack a number that their rule needs"
        lost.append(Lost("segment", reason, f"{len(ruled.incomplete)} events"))
    if ruled.cues or not any(rule.sound for rule in rules):
        return lost
    if not ruled.fitting:
        logger.warning("%s: no rule fits the path of this recording; kept without a sound", name)
        return [*lost, Lost("sound", "no rule fits its path")]
    if events:
        logger.warning("%s: no rule finds a sound; its events are %s", name, count_names(events))
        return [*lost, Lost("sound", "no rule finds one of its events")]
    logger.warning("%s: no rule finds a sound, as the recording has no events", name)
    reason = f"{markers.name} is missing" if markers else "it has no events"
    return [*lost, Lost("sound", reason, missing=markers is not None)]


def count_names(events: Sequence[Event]) -> str:
    """Names of events with their counts: ``'Stimulus/S  1' (12), '65' (3)``."""
    counts = Counter(event.name for event in events)
    shown = [f"{name!r} ({count})" for name, count in counts.most_common(SHOWN)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def segments_by_rule(rules: Sequence[SoundRule], ruled: Ruled) -> dict[str, int]:
    """Number of segments of each rule, by the rule's index and expressions."""
    found = {}
    for number, (rule, count) in enumerate(zip(rules, ruled.found, strict=True)):
        said = [f"{key}: {value}" for key in EXPRESSIONS if (value := getattr(rule, key))]
        found[f"sounds[{number}] ({', '.join(said)})" if said else f"sounds[{number}]"] = count
    return found
