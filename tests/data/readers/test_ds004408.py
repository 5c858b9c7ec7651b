from __future__ import annotations

import numpy as np
import pytest
from ds004408_files import write_ds004408

from eeg2speech.core.errors import DataError
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.readers.ds004408 import Ds004408
from eeg2speech.data.store.store import Store


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_ds004408(tmp_path_factory.mktemp("story") / "ds004408")


def test_runs_are_paired_with_their_part_of_the_story(root):
    sources = Ds004408(root, subjects=[2]).sources()
    assert [(s.recording, s.subject, s.run) for s in sources] == [
        ("sub-002_task-listening_run-01", "002", "01"),
        ("sub-002_task-listening_run-02", "002", "02"),
    ]
    raw = sources[1].load()
    assert raw.rate == 512
    assert raw.eeg.shape == (128, 1280)
    assert [c.name for c in raw.channels if c.status == "bad"] == ["B2"]
    (segment,) = raw.segments
    assert (segment.onset, segment.duration, segment.stimulus) == (0.0, 2.0, "audio02")
    assert raw.stimuli == {"audio02": root / "stimuli" / "audio02.wav"}


def test_electrodes_sit_where_biosemi_puts_them(root):
    places = {c.name: np.array([c.x, c.y, c.z]) for c in Ds004408(root, runs=["01"]).sources()[0].load().channels}
    assert np.isfinite(list(places.values())).all()
    assert places["A1"][2] == max(place[2] for place in places.values())  # the vertex
    assert places["C17"][1] > 0.08  # the forehead
    assert places["D23"][0] < -0.06 < 0.06 < places["B26"][0]  # over the left and the right ear


def test_it_becomes_a_store_of_one_story(root, tmp_path):
    reader = Ds004408(root)
    assert not prepare_sources(reader.sources(), tmp_path / "store", reader.description(), root=root).errors
    store = Store(tmp_path / "store")
    assert store.subjects == ["001", "002"]
    assert store.stimuli == ["audio01", "audio02"]
    assert store.description.license == "CC0"


def test_a_part_of_the_story_that_is_missing_is_named(tmp_path):
    root = write_ds004408(tmp_path / "ds004408", subjects=("001",), runs=("01",))
    (root / "stimuli" / "audio01.wav").unlink()
    with pytest.raises(DataError, match=r"sub-001_task-listening_run-01_eeg\.vhdr: sound .*audio01\.wav is missing"):
        Ds004408(root).sources()[0].load()
