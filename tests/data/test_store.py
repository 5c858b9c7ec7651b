from __future__ import annotations

import errno
import json
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from eeg2speech.core.errors import ConfigError, DataError, DiskError
from eeg2speech.core.tables import read_table, write_table
from eeg2speech.core.types import Channel, Recording, Segment
from eeg2speech.data.store.store import Description, Store, check_id
from eeg2speech.data.store.writer import StoreWriter, audio_hash

RNG = np.random.default_rng(0)
WAVE = RNG.uniform(-0.5, 0.5, 4000).astype(np.float32)


def description(**settings):
    return Description("test", "here", "CC0", "nobody", False, 100.0, settings=settings)


def add(writer, name="a", samples=500, stimulus="s1", subject="01"):
    eeg = RNG.normal(size=(3, samples)).astype(np.float32)
    channels = [Channel("Fz", "eeg", 0.0, 0.1, 0.05), Channel("Cz"), Channel("Pz", status="bad")]
    segments = [Segment(name, 0.5, 2.25, stimulus, 0.0, "listening", "", 'She said: "no\tway"')]
    writer.add(name, subject, "", "", eeg, channels, segments, {f"{name}.edf": "abc"})
    return eeg


@pytest.fixture
def store(tmp_path):
    writer = StoreWriter(tmp_path / "store", description(band=[1, 30]))
    writer.add_audio("s1", WAVE)
    add(writer)
    writer.finish()
    return tmp_path / "store"


def test_what_is_written_is_read_back(tmp_path):
    writer = StoreWriter(tmp_path / "store", description())
    writer.add_audio("s1", WAVE)
    expected = {name: add(writer, name) for name in ("b", "a")}
    assert not (tmp_path / "store").exists()
    assert writer.finish() == tmp_path / "store"
    store = Store(tmp_path / "store")
    assert [recording.recording for recording in store.recordings] == ["a", "b"]
    for recording in store.recordings:
        eeg = store.eeg(recording)
        assert isinstance(eeg.base, np.memmap)
        np.testing.assert_array_equal(eeg, expected[recording.recording])
    assert store.channels("a")[0].y == pytest.approx(0.1)
    assert np.isnan(store.channels("a")[1].x)
    assert store.channels("a")[2].status == "bad"
    assert store.segments[0].text == 'She said: "no way"'
    assert store.segments[0].duration == 2.25
    np.testing.assert_allclose(store.audio("s1"), WAVE, atol=2**-15)
    np.testing.assert_allclose(store.audio("s1", 100, 50), WAVE[100:150], atol=2**-15)
    assert store.description.inputs == {"a.edf": "abc", "b.edf": "abc"}
    assert sorted(file.name for file in (tmp_path / "store").iterdir()) == [
        "audio",
        "channels.tsv",
        "dataset.json",
        "dropped.tsv",
        "eeg",
        "inputs.tsv",
        "recordings.tsv",
        "segments.tsv",
    ]


def test_a_store_is_added_to_and_its_other_recordings_stay(store):
    before = (store / "eeg" / "a.npy").stat().st_mtime_ns
    writer = StoreWriter(store, description(band=[1, 30]))
    assert writer.recordings == {"a"}
    assert writer.has_sound("s1")
    add(writer, "b", subject="02")
    assert [r.recording for r in Store(store).recordings] == ["a"]  # readers see it once it is all there
    writer.finish()
    assert Store(store).subjects == ["01", "02"]
    assert (store / "eeg" / "a.npy").stat().st_mtime_ns == before
    assert Store(store).description.inputs == {"a.edf": "abc", "b.edf": "abc"}


def test_other_settings_or_another_folder_are_refused(store, tmp_path):
    with pytest.raises(ConfigError, match=r"was prepared with band=\[1, 30\], but this command sets \[1, 40\]"):
        StoreWriter(store, description(band=[1, 40]))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(ConfigError, match="thesis: exists and is not a prepared store"):
        StoreWriter(tmp_path / "thesis", description())


def test_a_killed_writer_is_taken_up_and_leaves_nothing(tmp_path):
    first = StoreWriter(tmp_path / "store", description())
    add(first)
    row = Recording("b", "01", "", "", 3, 10, "eeg/b.npy")
    first.write_signal(row, np.zeros((3, 10), np.float32))  # killed before its row
    (first.root / "eeg" / "c.npy.partial").write_bytes(b"half")
    (first.root / ".finished" / "c.json.partial").write_bytes(b"half")
    second = StoreWriter(tmp_path / "store", description())
    assert second.recordings == {"a"}
    second.finish()
    assert [file.name for file in (tmp_path / "store" / "eeg").iterdir()] == ["a.npy"]
    assert not list((tmp_path / "store").rglob("*.partial"))
    assert not (tmp_path / "store.partial").exists()


def test_an_existing_empty_folder_is_used(tmp_path):
    (tmp_path / "store").mkdir()
    writer = StoreWriter(tmp_path / "store", description())
    add(writer)
    writer.finish()
    assert Store(tmp_path / "store").recordings


def test_nothing_finished_makes_no_store(tmp_path):
    with pytest.raises(DataError, match="no recording could be prepared"):
        StoreWriter(tmp_path / "store", description()).finish()
    assert not (tmp_path / "store").exists()


def test_the_same_sound_is_kept_once(tmp_path):
    def heard(writer, recording, stimuli):
        for name, wave in stimuli.items():
            writer.add_audio(name, wave)
        segments = [Segment(recording, 0.0, 0.1, name, 0.0, "listening") for name in stimuli]
        writer.add(recording, "01", "", "", np.zeros((1, 20), np.float32), [Channel("Cz")], segments, {})
        return Store(writer.finish())

    store = heard(StoreWriter(tmp_path / "store", description()), "a", {"s2": WAVE, "s1": WAVE, "s3": -WAVE})
    assert [segment.stimulus for segment in store.segments] == ["s1", "s1", "s3"]
    store = heard(StoreWriter(tmp_path / "store", description()), "b", {"s0": WAVE, "s4": WAVE / 2})
    assert [segment.stimulus for segment in store.segments] == ["s1", "s1", "s3", "s1", "s4"]
    assert sorted(file.stem for file in (store.root / "audio").iterdir()) == ["s1", "s3", "s4"]


def test_an_envelope_stands_in_for_a_sound(tmp_path):
    writer = StoreWriter(tmp_path / "store", description())
    writer.add_envelope("s1", np.arange(5, dtype=np.float32))
    assert writer.has_sound("s1")
    writer.add(
        "a", "01", "", "", np.zeros((1, 20), np.float32), [Channel("Cz")], [Segment("a", 0, 0.1, "s1", 0, "rest")], {}
    )
    store = Store(writer.finish())
    np.testing.assert_array_equal(store.envelope("s1"), np.arange(5))
    assert store.envelope("s2") is None
    (store.root / "envelopes" / "s1.npy").write_bytes(b"half")
    with pytest.raises(DataError, match=r"s1\.npy: cannot be read"):
        store.envelope("s1")


def test_envelopes_of_one_name_are_one_although_they_end_apart(tmp_path):
    def add_trial(name, samples):
        writer.add_envelope("s", np.arange(samples, dtype=np.float32), source=name)
        row = Recording(name, "01", "", "", 1, 20, f"eeg/{name}.npy")
        writer.write_signal(row, np.zeros((1, 20), np.float32))
        writer.add_row(row, [Channel("Cz")], [Segment(name, 0, 0.1, "s", 0, "rest")], [], (), {"s": name})

    writer = StoreWriter(tmp_path / "store", description())
    for name, samples in {"c": 5, "b": 7}.items():
        add_trial(name, samples)
    store = Store(writer.finish())
    assert store.stimuli == ["s"]
    np.testing.assert_array_equal(store.envelope("s"), np.arange(7))
    writer = StoreWriter(tmp_path / "store", description())
    add_trial("a", 6)
    store = Store(writer.finish())
    assert store.stimuli == ["s"]
    np.testing.assert_array_equal(store.envelope("s"), np.arange(7))


def test_the_hash_in_a_flac_header_tells_sounds_apart(tmp_path):
    for name, samples in {"a": WAVE, "b": WAVE, "c": WAVE[:-1]}.items():
        soundfile.write(tmp_path / f"{name}.flac", samples, 16000, subtype="PCM_16")
    a, b, c = (audio_hash(tmp_path / f"{name}.flac") for name in "abc")
    assert a == b != c
    assert len(a) == 16
    assert any(a)
    (tmp_path / "d.flac").write_bytes(b"RIFF" + bytes(60))
    with pytest.raises(DataError, match=r"d\.flac: not a FLAC file"):
        audio_hash(tmp_path / "d.flac")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), OSError("5280 requested and 0 written")])
def test_a_full_disk_is_one_line_and_keeps_what_is_finished(tmp_path, monkeypatch, error):
    writer = StoreWriter(tmp_path / "store", description())
    add(writer)

    def full(*_args, **_kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(DiskError, match=r"disk is full.*finished recordings are kept"):
            add(writer, "b")
    again = StoreWriter(tmp_path / "store", description())
    assert again.recordings == {"a"}
    add(again, "b")
    again.finish()
    assert len(Store(tmp_path / "store").recordings) == 2


def test_out_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot be written"):
        StoreWriter(tmp_path / "file" / "store", description())


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\\b", "a:b", "a\nb"])
def test_ids_that_cannot_be_file_names_are_refused(name):
    with pytest.raises(DataError, match="cannot be a file name"):
        check_id(name, "recording")


@pytest.mark.parametrize("damage", ["missing", "short", "shape", "pickle", "outside"])
def test_damaged_signals_name_the_file(store, damage):
    file = store / "eeg" / "a.npy"
    if damage == "missing":
        file.unlink()
    elif damage == "short":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "shape":
        np.save(file, np.zeros((3, 10), np.float32))
    elif damage == "pickle":
        np.save(file, np.array([{}], object), allow_pickle=True)
    else:
        table = store / "recordings.tsv"
        table.write_text(table.read_text().replace("eeg/a.npy", "../a.npy"))
    opened = Store(store)
    with pytest.raises(DataError, match=r"a\.npy"):
        opened.eeg(opened.recordings[0])


def test_damaged_stores_are_one_line(store, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Store(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"not a prepared store \(no dataset\.json\)"):
        Store(tmp_path)
    content = json.loads((store / "dataset.json").read_text())
    for damaged in ("{", "[]", json.dumps(content | {"version": 99}), json.dumps(content | {"colour": 1})):
        (store / "dataset.json").write_text(damaged)
        with pytest.raises(DataError, match=r"store.*(damaged|version 99)"):
            Store(store)
    (store / "dataset.json").write_text(json.dumps(content | {"version": 1}))  # of eeg2speech 0.1
    with pytest.raises(DataError, match=r"store version 1, this eeg2speech reads 2; run `eeg2speech prepare` again"):
        Store(store)
    (store / "dataset.json").write_text(json.dumps(content))
    (store / "segments.tsv").unlink()
    with pytest.raises(DataError, match=r"segments\.tsv: missing"):
        Store(store)


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    size: float


def test_tables_keep_values_and_name_damage(tmp_path):
    file = tmp_path / "rows.tsv"
    rows = [Row("a b", 3, 0.1), Row("", 0, float("nan")), Row('"quoted"', -1, 1e-9)]
    write_table(file, Row, rows)
    assert repr(read_table(file, Row)) == repr(rows)
    for content, message in [
        ("name\tcount\n", "no column size"),
        ("name\tcount\tsize\na\tx\t1\n", "line 2"),
        ("name\tcount\tsize\na\t1\n", "line 2: too few cells"),
    ]:
        file.write_text(content)
        with pytest.raises(DataError, match=rf"rows\.tsv: {message}"):
            read_table(file, Row)
    file.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(DataError, match=r"rows\.tsv"):
        read_table(file, Row)
