"""What is said of a recording that rules or tables give no sound, or less than they promise."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from eeg2speech.core.types import Lost
from eeg2speech.data.events.events import Event
from eeg2speech.data.events.sound_rules import Ruled, SoundRule

NAMES = 8
"""Names of events that a line lists."""

logger = logging.getLogger(__name__)


def what_rules_miss(
    rules: Sequence[SoundRule], ruled: Ruled, events: Sequence[Event], name: str, markers: Path | None
) -> list[Lost]:
    """Warn of a recording in which rules find nothing, or events without the numbers that they ask for.

    Args:
        rules: That were given.
        ruled: What they found.
        events: Of the recording.
        name: Of the recording.
        markers: The file that its events should be in, if that is missing.

    Returns:
        What is lost by it.
    """
    lost = []
    if ruled.passed:
        logger.warning(
            "%s: %d events lack a number that their rule asks for (the first: %s); passed over",
            name, len(ruled.passed), ruled.passed[0].where,
        )  # fmt: skip
        lost.append(Lost("segment", "events lack a number that their rule asks for", f"{len(ruled.passed)} events"))
    if ruled.cues or not any(rule.sound for rule in rules):
        return lost
    if not ruled.fitting:
        logger.warning("%s: no rule fits the path of this recording; kept without a sound", name)
        return [*lost, Lost("sound", "no rule fits its path")]
    if events:
        logger.warning("%s: no rule finds a sound; its events are %s", name, counted(events))
        return [*lost, Lost("sound", "no rule finds one of its events")]
    logger.warning("%s: no rule finds a sound, as the recording has no events", name)
    reason = f"{markers.name} is missing" if markers else "it has no events"
    return [*lost, Lost("sound", reason, missing=markers is not None)]


def counted(events: Sequence[Event]) -> str:
    """Names of events with their counts: ``'Stimulus/S  1' (12), '65' (3)``."""
    counts = Counter(event.name for event in events)
    shown = [f"{name!r} ({count})" for name, count in counts.most_common(NAMES)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def segments_by_rule(rules: Sequence[SoundRule], ruled: Ruled) -> dict[str, int]:
    """How many segments each rule made, by what says which rule it is."""
    found = {}
    for number, (rule, count) in enumerate(zip(rules, ruled.found, strict=True)):
        said = [f"{key}: {value}" for key in ("match", "event") if (value := getattr(rule, key))]
        found[f"sounds[{number}] ({', '.join(said)})" if said else f"sounds[{number}]"] = count
    return found
