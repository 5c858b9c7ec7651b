"""Which sounds, subjects and recordings are in a list of windows, recognised by content rather than by name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

import numpy as np

from eeg2speech.checkpoints.training_record import Material
from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.store.content import read_inputs
from eeg2speech.data.store.store import Store
from eeg2speech.data.store.writer import audio_hash

STRETCHES, SAMPLES = 16, 256
"""Stretches of a recording, evenly spread, and samples of each, by which it is recognised."""


def material_of(store: Store, segments: Iterable[Segment]) -> Material:
    """Sounds, subjects and recordings of segments.

    A sound is known by its samples and by the file that it was read from, a recording by its samples and by its raw
    file, so that other names and another preparation do not hide them.

    Args:
        store: Holds them.
        segments: Of a list.
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
    return Material(sounds, {_subject_key(store, row): row.subject for row in used}, recordings)


def sound_digest(store: Store, stimulus: str) -> str:
    """Hash of a sound's samples at 16 kHz, or of the envelope that stands in for it.

    Segments without any sound are the same to a model only within one dataset.
    """
    file = store.audio_file(stimulus)
    if stimulus and file.is_file():
        samples = audio_hash(file)
        return samples.hex() if any(samples) else hashlib.sha256(file.read_bytes()).hexdigest()  # some leave it out
    envelope = store.envelope(stimulus) if stimulus else None
    if envelope is not None:
        return hashlib.sha256(envelope.tobytes()).hexdigest()
    return f"{_people_of(store)}/{stimulus}"


def _people_of(store: Store) -> str:
    """Name of the dataset; of a simulation with its seed, which decides who is simulated."""
    described = store.description
    seed = described.settings.get("simulation.seed") if described.simulated else None
    return described.name if seed is None else f"{described.name}, seed {seed}"


def _subject_key(store: Store, row: Recording) -> str:
    return f"{_people_of(store)}/{row.subject}"


def _recording_digest(store: Store, row: Recording) -> str:
    """Hash of stretches of a recording: the same in a copy of the store under another name. Empty of a flat one."""
    eeg = store.eeg(row)
    starts = np.linspace(0, max(row.samples - SAMPLES, 0), STRETCHES).round().astype(int)
    stretches = np.concatenate([eeg[:, start : start + SAMPLES] for start in starts], axis=1)
    if not np.ptp(stretches, axis=1).any():
        return ""
    return hashlib.sha256(f"{eeg.shape}".encode() + stretches.tobytes()).hexdigest()


def _raw_files(store: Store) -> dict[str, str]:
    """Hash of the largest file that a recording was read from and that no other subject shares: its signal."""
    subject_of = {row.recording: row.subject for row in store.recordings}
    rows = [row for row in read_inputs(store.root) if row.recording in subject_of]
    shared: dict[str, set[str]] = {}
    for row in rows:
        shared.setdefault(row.sha256, set()).add(subject_of[row.recording])
    own = sorted((row for row in rows if len(shared[row.sha256]) == 1), key=lambda row: row.size)
    return {row.recording: row.sha256 for row in own}
