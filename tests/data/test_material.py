from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from eeg2speech.core.types import Channel, RawRecording, Segment, Source
from eeg2speech.data.loading.material import material_of
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.store.store import Description, Store

RATE = 8000


def tone(hertz):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32), float(RATE)


def load(recording, seed):
    eeg = np.random.default_rng(seed).normal(0, 1e-5, (4, 1000))
    segments = [Segment(recording, 0.5 + k, 1.0, f"s{k}", 0.0, "listening") for k in range(2)]
    sounds = {f"s{k}": partial(tone, 300 + 100 * k) for k in range(2)}
    return RawRecording(eeg, 200.0, [Channel(name) for name in ("Fz", "Cz", "Pz", "Oz")], segments, [], sounds)


def prepared(root, raw, name, band, prefix=""):
    """Two subjects, each with a signal file of his or her own and a table that both share."""
    raw.mkdir(exist_ok=True)
    (raw / "events.tsv").write_text("the same for all")
    sources = []
    for number in (1, 2):
        (raw / f"{number}.eeg").write_bytes(bytes([number]) * 100)
        inputs = (raw / "events.tsv", raw / f"{number}.eeg")
        recording = f"{prefix}rec-{number}"
        sources.append(Source(recording, f"{prefix}{number}", "", "", inputs, partial(load, recording, number)))
    description = Description(name, "here", "CC0", "nobody", False, 100.0)
    assert not prepare_sources(sources, root, description, Preprocessing(band=band, notch=None), root=raw).errors
    return Store(root)


@pytest.mark.parametrize("subject", [1, 2])
def test_another_preparation_under_other_names_is_the_same_material(tmp_path, subject):
    one = prepared(tmp_path / "one", tmp_path / "raw", "A", (0.5, 40.0))
    other = prepared(tmp_path / "other", tmp_path / "raw", "B", (1.0, 20.0), prefix="x")
    first = material_of(one, [s for s in one.segments if s.recording == f"rec-{subject}"])
    second = material_of(other, [s for s in other.segments if s.recording == f"xrec-{subject}"])
    assert set(first.sounds) & set(second.sounds)
    assert set(first.recordings) & set(second.recordings)
    assert not set(first.subjects) & set(second.subjects)  # by dataset and label they are others


def test_subjects_who_share_tables_and_sounds_are_told_apart(tmp_path):
    store = prepared(tmp_path / "store", tmp_path / "raw", "A", (0.5, 40.0))
    first, second = (
        material_of(store, [s for s in store.segments if s.recording == f"rec-{n}" and s.stimulus == f"s{n - 1}"])
        for n in (1, 2)
    )
    assert not set(first.recordings) & set(second.recordings)
    assert not set(first.subjects) & set(second.subjects)
    assert not set(first.sounds) & set(second.sounds)
    assert set(first.sounds.values()) == {"s0"}
