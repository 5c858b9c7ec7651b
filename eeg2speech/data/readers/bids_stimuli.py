"""Sounds by the standard's own means: ``stim_file`` in ``events.tsv``, relative to ``stimuli/``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from eeg2speech.data.downloads import is_listed
from eeg2speech.data.readers.cues import Cue
from eeg2speech.data.readers.events import Event
from eeg2speech.data.reading import inside
from eeg2speech.data.sounds import SUFFIXES
from eeg2speech.errors import DataError
from eeg2speech.types import Condition

logger = logging.getLogger(__name__)


def stimulus_cues(root: Path, events: Sequence[Event], condition: Condition, name: str) -> list[Cue]:
    """Sounds that ``stim_file`` names; pictures and films are passed over.

    Args:
        root: Folder of the dataset.
        events: Of a recording.
        condition: What the subject did meanwhile.
        name: Of the recording, for the log.

    Raises:
        DataError: A file lies outside the dataset.
    """
    cues, others = [], set()
    for event in events:
        path = event.columns.get("stim_file", "")
        if not path:
            continue
        if not path.lower().endswith(SUFFIXES):
            others.add(Path(path).suffix or path)
            continue
        label = event.columns.get("trial_type", "")
        sound = _stimulus(root, path, event.where)
        cues.append(Cue(event.onset, event.duration, sound, 0.0, condition, label, "", event.where))
    if others:
        logger.warning("%s: stimuli that are no sounds are passed over (%s)", name, ", ".join(sorted(others)))
    return cues


def _stimulus(root: Path, path: str, where: str) -> Path:
    """File that a ``stim_file`` means: below ``stimuli/``, or a BIDS URI of this dataset."""
    if path.startswith("bids:"):
        dataset, _, inner = path.removeprefix("bids:").partition(":")
        if dataset or not inner:
            raise DataError(f"{where}: {path!r} is in another dataset; copy the sound into stimuli/ and name it there")
        return inside(root, inner, where)
    sound = inside(root / "stimuli", path, where)
    below_root = inside(root, path, where)
    return below_root if not is_listed(sound) and is_listed(below_root) else sound
