"""Sounds, subjects and recordings of a split, identified by content, so that training data is found in test splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eeg2speech.checkpoints.training_record import Material
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import sha256_of
from eeg2speech.core.types import Recording, Segment, SplitName
from eeg2speech.data.store.content import read_inputs
from eeg2speech.data.store.store import Store
from eeg2speech.data.store.writer import audio_hash

NEW_SOUNDS: tuple[SplitName, ...] = ("val", "unseen_stimulus", "unseen_both")
"""Splits whose sounds must not be trained on; those of ``unseen_subject`` are, by design."""
STRETCHES, SAMPLES = 16, 256
"""Number of stretches, evenly spaced, and samples of each that identify a recording."""


def refuse_known_sounds(store: Store, by_split: Mapping[SplitName, Sequence[Segment]]) -> None:
    """Refuse a store in which a training sound is also validated or tested on, under another name.

    Sounds are compared by all of their samples: an excerpt, or the same sound at another loudness, is not found.

    Args:
        store: Prepared store; missing sounds are ignored.
        by_split: Segments of each split, before ``train_fraction`` is applied.

    Raises:
        DataError: A training sound has a second name in another split.
    """
    trained = {segment.stimulus for segment in by_split.get("train", ())}
    owner = {digest: name for name in sorted(trained) if (digest := _samples_digest(store, name))}
    for split in NEW_SOUNDS:
        for name in sorted({segment.stimulus for segment in by_split.get(split, ())} - trained):
            other = owner.get(_samples_digest(store, name))
            if other is not None:
                raise DataError(
                    f"{store.root}: stimulus {name!r} of {split} is the same sound as {other!r} of train; give both "
                    "one name in segments.tsv, or prepare the store again"
                )


def material_of(store: Store, segments: Iterable[Segment]) -> Material:
    """Sounds, subjects and recordings of segments.

    A sound is identified by its samples and by its source file, a recording by its samples and by its raw file, so
    that they are also found under other names and after another preparation.

    Args:
        store: Prepared store.
        segments: Segments of a split.
    """
    segments = list(segments)
    rows = {row.recording: row for row in store.recordings}
    used = [rows[name] for name in sorted({segment.recording for segment in segments})]
    raw = _raw_files(store)
    read_from, sources = store.description.sounds, Counter(store.description.sounds.values())
    sounds = {}
    for name in sorted({segment.stimulus for segment in segments}):
        sounds[sound_digest(store, name)] = name
        source = read_from.get(name, "")
        if sources[source] == 1:  # else one file holds several sounds
            sounds[source] = name
    recordings = {digest: row.subject for row in used if (digest := _recording_digest(store, row))}
    recordings |= {raw[row.recording]: row.subject for row in used if row.recording in raw}
    people = _people_of(store)
    return Material(sounds, {f"{people}/{row.subject}": row.subject for row in used}, recordings)


def sound_digest(store: Store, stimulus: str) -> str:
    """Hash of a sound's samples at 16 kHz, or of the envelope that replaces it.

    Segments without any sound are considered equal within one dataset only.
    """
    if stimulus and (digest := _samples_digest(store, stimulus)):
        return digest
    envelope = store.envelope(stimulus) if stimulus else None
    if envelope is not None:
        return hashlib.sha256(envelope.tobytes()).hexdigest()
    return f"{_people_of(store)}/{stimulus}"


def _samples_digest(store: Store, stimulus: str) -> str:
    """Hash of a sound's samples, empty if there is no such sound."""
    file = store.audio_file(stimulus)
    if not file.is_file():
        return ""
    samples = audio_hash(file)
    return samples.hex() if any(samples) else sha256_of(file)  # some encoders do not write the hash


def _people_of(store: Store) -> str:
    """Name of the dataset; of a simulation with its seed, on which the simulated subjects depend."""
    described = store.description
    seed = described.settings.get("simulation.seed") if described.simulated else None
    return described.name if seed is None else f"{described.name}, seed {seed}"


def _recording_digest(store: Store, row: Recording) -> str:
    """Hash of stretches of a recording, which is the same in a copy of the store; empty for a constant recording."""
    eeg = store.eeg(row)
    starts = np.linspace(0, max(row.samples - SAMPLES, 0), STRETCHES).round().astype(int)
    stretches = np.concatenate([eeg[:, start : start + SAMPLES] for start in starts], axis=1)
    if not np.ptp(stretches, axis=1).any():
        return ""
    return hashlib.sha256(f"{eeg.shape}".encode() + stretches.tobytes()).hexdigest()


def _raw_files(store: Store) -> dict[str, str]:
    """Hash of each recording's signal: the largest of its input files that no other subject shares."""
    subject_of = {row.recording: row.subject for row in store.recordings}
    rows = [row for row in read_inputs(store.root) if row.recording in subject_of]
    shared: dict[str, set[str]] = {}
    for row in rows:
        shared.setdefault(row.sha256, set()).add(subject_of[row.recording])
    own = sorted((row for row in rows if len(shared[row.sha256]) == 1), key=lambda row: row.size)
    return {row.recording: row.sha256 for row in own}
