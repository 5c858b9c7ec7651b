"""Sounds of a BIDS recording that ``stim_file`` in ``events.tsv`` names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Condition, Lost
from eeg2speech.data.events.cues import Cue
from eeg2speech.data.events.events import Event
from eeg2speech.data.files.downloads import is_listed
from eeg2speech.data.files.reading import inside
from eeg2speech.data.files.sounds import SUFFIXES, UNREADABLE

logger = logging.getLogger(__name__)


def stimulus_cues(root: Path, events: Sequence[Event], condition: Condition, channel: ChannelChoice) -> list[Cue]:
    """Sounds that ``stim_file`` names; images and films are skipped.

    Raises:
        DataError: A file lies outside the dataset, or is a sound in a format that is not read.
    """
    cues = []
    for event in events:
        path = event.columns.get("stim_file", "")
        if path.lower().endswith(UNREADABLE):
            raise DataError(
                f"{event.where}: sounds in the format of {path!r} are not supported; convert it to one of "
                f"{', '.join(SUFFIXES)}"
            )
        if path.lower().endswith(SUFFIXES):
            label = event.columns.get("trial_type", "")
            sound = _stimulus(root, path, event.where)
            cues.append(Cue(event.onset, event.duration, sound, 0.0, condition, label, "", event.where, channel))
    return cues


def _stimulus(root: Path, path: str, where: str) -> Path:
    """File of a ``stim_file``: below ``stimuli/``, or a BIDS URI of this dataset."""
    if path.startswith("bids:"):
        dataset, _, inner = path.removeprefix("bids:").partition(":")
        if dataset or not inner:
            raise DataError(f"{where}: {path!r} is in another dataset; copy the sound into stimuli/ and name it there")
        return inside(root, inner, where)
    sound = inside(root / "stimuli", path, where)
    below_root = inside(root, path, where)
    return below_root if not is_listed(sound) and is_listed(below_root) else sound


def report_other_stimuli(events: Sequence[Event], cues: Sequence[Cue], name: str) -> list[Lost]:
    """Warn of a recording whose ``stim_file`` names no sound, or other files than sounds."""
    named = [event.columns["stim_file"] for event in events if event.columns.get("stim_file")]
    others = {Path(path).suffix or path for path in named if not path.lower().endswith(SUFFIXES)}
    if others:
        logger.warning("%s: stimuli that are no sounds are skipped (%s)", name, ", ".join(sorted(others)))
    if cues or not any("stim_file" in event.columns for event in events):
        return []
    if not others:
        logger.warning("%s: no row of stim_file names a sound; kept without a sound", name)
    return [Lost("sound", "stim_file names no sound")]
