from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment, SplitName
from eeg2speech.data.store.store import Store
from eeg2speech.data.store.writer import audio_hash

NEW_SOUNDS: tuple[SplitName, ...] = ("val", "unseen_stimulus", "unseen_both")
"""Lists whose sounds must not be trained on; those of an unseen subject are known by intent."""


def refuse_known_sounds(store: Store, by_split: Mapping[SplitName, Sequence[Segment]]) -> None:
    """Refuse a store in which a sound of training is also validated or tested on, under another name.

    Files are compared by their samples as a whole: an excerpt, or the same sound at another loudness, goes unnoticed.

    Args:
        store: Holds the sounds; those that are missing are passed over.
        by_split: Segments of each split, before training is cut down to some of them.

    Raises:
        DataError: Two names stand for one sound on both sides.
    """
    trained = {segment.stimulus for segment in by_split.get("train", ())}
    owner = {digest: name for name in sorted(trained) if (digest := _digest(store, name))}
    for split in NEW_SOUNDS:
        for name in sorted({segment.stimulus for segment in by_split.get(split, ())} - trained):
            other = owner.get(_digest(store, name))
            if other is not None:
                raise DataError(
                    f"{store.root}: stimulus {name!r} of {split} is the same sound as {other!r} of train; give both "
                    "one name in segments.tsv, or prepare the store again"
                )


def _digest(store: Store, stimulus: str) -> bytes:
    file = store.audio_file(stimulus)
    if not file.is_file():
        return b""
    samples = audio_hash(file)
    return samples if any(samples) else hashlib.sha256(file.read_bytes()).digest()  # some encoders leave it out
