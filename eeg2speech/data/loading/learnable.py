"""Data that nothing can be learned from, refused before training with the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Batch, Segment, SplitName
from eeg2speech.data.store.store import Store

SILENT = 1e-4
"""Largest absolute sample, of 1, below which a sound counts as silent."""


def stimuli_with_sound(store: Store, segments: Sequence[Segment]) -> set[str]:
    """Stimuli of segments whose sound is in the store.

    Args:
        store: Prepared store.
        segments: Of the conditions that are used.

    Raises:
        DataError: None has a sound, or one was lost: others of the same recording are there.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for segment in segments:
        named[segment.recording].add(segment.stimulus)
    stimuli = set().union(*named.values()) - {""}
    there = {stimulus for stimulus in stimuli if store.audio_file(stimulus).is_file()}
    published = {stimulus for stimulus in stimuli - there if store.envelope(stimulus) is not None}
    if not there:
        text = "only envelopes" if published else "no sound"
        raise DataError(
            f"{store.root}: {text} for any of its {len(segments)} segments; stage 1 can use it, the other stages need "
            "sounds (data.audio)"
        )
    # a participant whose sounds were never published lacks all of them
    lost = {s for own in named.values() if own & there for s in own - there - published - {""}}
    if lost:
        more = f", and {len(lost) - 1} more sounds" if len(lost) > 1 else ""
        raise DataError(
            f"{store.audio_file(min(lost))}: missing{more}; leave its segments out (data.conditions) or prepare the "
            "store from a folder that has this sound"
        )
    return there


def keep_sounds(splits: Mapping[SplitName, list[Segment]], stimuli: set[str]) -> dict[SplitName, list[Segment]]:
    """Segments of each split that have a sound; how many have none is printed.

    Args:
        splits: Segments by split. They were divided with the others, so that all stages divide them alike.
        stimuli: Those with a sound.

    Raises:
        ConfigError: A split would be empty.
    """
    kept = {split: [s for s in segments if s.stimulus in stimuli] for split, segments in splits.items()}
    for split, segments in splits.items():
        if segments and not kept[split]:
            raise ConfigError(f"none of the {len(segments)} segments of {split} has a sound; change data.split")
    total, left = (sum(map(len, found.values())) for found in (splits, kept))
    if left < total:
        rank_zero_info(f"{total - left} of {total} segments have no sound and are left out")
    return kept


def check_content(batches: Iterable[Batch], audio: bool) -> None:
    """See that some windows hold EEG, and sound where it is used.

    Args:
        batches: Some training windows.
        audio: Whether sound is used.

    Raises:
        DataError: All of them are constant or silent.
    """
    windows, eeg, sound = 0, False, not audio
    for batch in batches:
        windows += len(batch["eeg"])
        eeg = eeg or bool((batch["eeg"] != 0).any())
        sound = sound or bool((batch["audio"].abs() >= SILENT).any())
    if not eeg:
        raise DataError(f"the EEG of {windows} training windows is constant in every channel; see `eeg2speech doctor`")
    if not sound:
        raise DataError(f"the sound of {windows} training windows is silent; see `eeg2speech doctor`")
