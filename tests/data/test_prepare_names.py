"""Names that a disk, a table or a program does not take, and errors that nobody expects, cost one recording only."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from eeg2speech.cli import main
from eeg2speech.core.errors import DataError
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Source
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.store.shards import Shard
from eeg2speech.data.store.store import Dropped, Store, check_id
from tests.data.changing_files import edited, load, prepare, sources
from tests.data.made_sources import content, description, source
from tests.data.readers.bids_files import write_bids

ODD = os.fsdecode(b"S\xf6ren")
NAMES = {
    ODD: "its name is not UTF-8; rename it",
    "x" * 201: "its name has 201 bytes, the limit is 200; shorten it",
    "ä" * 101: "its name has 202 bytes, the limit is 200; shorten it",
    ".hidden": "cannot be a file name",
    "a:b": "cannot be a file name",
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("name", NAMES, ids=["bytes", "long", "long in bytes", "hidden", "colon"])
def test_a_recording_of_unusable_id_does_not_stop_the_others(tmp_path, name, jobs):
    listed = [source("sub-01"), source(name), source("sub-02")]
    (error,) = prepare_sources(listed, tmp_path / "store", description(), jobs=jobs).errors
    assert NAMES[name] in error
    error.encode()
    assert Store(tmp_path / "store").subjects == ["01", "02"]
    (row,) = read_table(tmp_path / "store" / "dropped.tsv", Dropped)
    assert row.what == "recording"
    assert row.reason == error


@pytest.mark.parametrize("name", ["x" * 200, "é" * 100], ids=["ascii", "accents"])
def test_the_longest_ids_are_written(tmp_path, name):
    assert prepare_sources([source(name, stimuli={name: 300})], tmp_path / "store", description()).errors == []
    store = Store(tmp_path / "store")
    assert store.eeg(store.recordings[0]).shape == (4, 500)
    assert len(store.audio(name)) == 16_000


@pytest.mark.parametrize("stimulus", [ODD, "x" * 201], ids=["bytes", "long"])
def test_a_stimulus_whose_name_cannot_be_used_fails_its_recording_only(tmp_path, stimulus):
    listed = [source("sub-01"), source("sub-02", stimuli={stimulus: 300})]
    (error,) = prepare_sources(listed, tmp_path / "store", description()).errors
    assert error.startswith("sub-02: stimulus")
    assert Store(tmp_path / "store").subjects == ["01"]


def test_a_sidecar_whose_name_is_no_text_fails_its_recording_only(root, tmp_path):
    odd = root / f"{ODD}.json"
    odd.touch()
    listed = sources(root)
    listed[0] = Source("S1", "S1", "", "", (*listed[0].inputs, odd), listed[0].load)
    (error,) = prepare_sources(listed, tmp_path / "store", description(), root=root).errors
    assert error == r"S1: S\udcf6ren.json: its name is not UTF-8; rename it"
    assert Store(tmp_path / "store").subjects == ["S2", "S3"]


def test_a_dataset_in_a_folder_whose_name_is_no_text(tmp_path, capsys):
    folder = tmp_path / ODD
    write_bids(tmp_path / "ds", ("01",))
    (tmp_path / "ds").rename(folder)
    assert main(["prepare", "bids", str(folder), str(tmp_path / "store")]) == 1
    assert r"S\udcf6ren': not UTF-8; rename it" in capsys.readouterr().err
    reader = Bids(folder)  # in Python, and by a link of another name
    with pytest.raises(DataError, match=r"a\.wav: its name, or that of its folder, is no UTF-8; rename it"):
        prepare_sources(reader.sources(), tmp_path / "store", reader.description(), root=folder)
    for table in folder.rglob("*_events.tsv"):
        table.unlink()
    assert not prepare_sources(reader.sources(), tmp_path / "store", reader.description(), root=folder).errors
    assert Store(tmp_path / "store").description.root.endswith(r"S\udcf6ren")


def test_sounds_of_the_demo_whose_names_are_no_text(tmp_path, capsys):
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.sin(np.arange(16_000)), 8000)
    (folder / "a.wav").rename(folder / f"{ODD}.wav")
    assert main(["prepare", "demo", str(folder), str(tmp_path / "store")]) == 1
    assert "its name is not UTF-8; rename it" in capsys.readouterr().err
    folder.rename(tmp_path / ODD)
    (tmp_path / ODD / f"{ODD}.wav").rename(tmp_path / ODD / "a.wav")
    assert main(["prepare", "demo", str(tmp_path / ODD), str(tmp_path / "store")]) == 1
    assert r"S\udcf6ren': not UTF-8; rename it" in capsys.readouterr().err


class OddError(Exception):
    pass


@pytest.mark.parametrize("error", [OddError("odd"), AssertionError(), RecursionError("deep"), MemoryError()])
def test_an_error_that_nobody_expects_fails_its_recording_only(tmp_path, error):
    def broken():
        raise error

    listed = [Source("sub-01", "01", "", "", (), broken), source("sub-02")]
    (line,) = prepare_sources(listed, tmp_path / "store", description()).errors
    expected = "not enough memory; lower jobs" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
    assert line == f"sub-01: {expected}"
    assert Store(tmp_path / "store").subjects == ["02"]


def test_shards_count_a_recording_that_cannot_be_named(tmp_path):
    listed = [source(ODD), source("sub-01"), source("x" * 300)]
    waiting = [
        prepare_sources(listed, tmp_path / "store", description(), shard=Shard(number, 3)).waiting
        for number in (1, 3, 2)
    ]
    assert waiting == [2, 1, 0]
    assert len(read_table(tmp_path / "store" / "dropped.tsv", Dropped)) == 2


@pytest.mark.parametrize("name", [ODD, "x" * 201], ids=["bytes", "long"])
def test_such_ids_are_refused_by_name(name):
    with pytest.raises(DataError, match=r"not UTF-8|has 201 bytes"):
        check_id(name, "recording")


def test_recordings_without_sounds_and_sounds_that_are_missing_are_counted(root, tmp_path, capsys):
    def without():
        raw = load(root, "S2")
        raw.stimuli = {"a": raw.stimuli["a"]}
        return raw

    edited(root / "S3.tsv", "")
    listed = sources(root)
    listed[1] = Source("S2", "S2", "", "", listed[1].inputs, without)
    prepare_sources(listed, tmp_path / "store", description(), root=root)
    rows = read_table(tmp_path / "store" / "dropped.tsv", Dropped)
    assert [(row.recording, row.what, row.name, row.reason) for row in rows] == [
        ("S2", "sound", "b", "the sound is missing"),
        ("S3", "sound", "", "no sound is assigned to the recording"),
    ]


def test_a_sound_cut_short_is_named_and_its_recording_counted(root, tmp_path):
    file = root / "sounds" / "b.wav"
    file.write_bytes(file.read_bytes()[:8044])
    (error,) = prepare(root, tmp_path / "store").errors
    assert error == f"S2: {file}: cut short, 0.50 s of the 1.00 s in its header; download it again"
    (row,) = read_table(tmp_path / "store" / "dropped.tsv", Dropped)
    assert (row.recording, row.reason) == ("S2", error)
    assert content(tmp_path / "store").keys() >= {"audio/a.flac", "audio/c.flac"}
