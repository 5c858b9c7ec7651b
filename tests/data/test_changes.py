"""What `prepare` does about recordings of a store whose files have changed since."""

from __future__ import annotations

import os
import shutil
from functools import partial

import numpy as np
import pytest

from eeg2speech.core.errors import ConfigError, DataError, DiskError
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Source
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Prepared, Preprocessing
from eeg2speech.data.store import inputs, writer
from eeg2speech.data.store.inputs import Input
from eeg2speech.data.store.shards import Shard
from eeg2speech.data.store.store import Dropped, Store
from tests.data.changing_files import edited, load, prepare, sources, tone
from tests.data.made_sources import content, description

CHANGES = {
    "table": (lambda root: edited(root / "S1.tsv", "0.9 a\n"), ["S1"], "S1 (S1.tsv has changed)"),
    "signal": (lambda root: edited(root / "S3.eeg", "9"), ["S3"], "S3 (S3.eeg has changed)"),
    "sound": (lambda root: tone(root / "sounds" / "a.wav", 700), ["S1", "S2"], "S1 (sounds/a.wav has changed), S2 ("),
    "other sound": (lambda root: edited(root / "S3.tsv", "1 b\n"), ["S3"], "S3 (sounds/b.wav is new, S3.tsv has"),
    "new sidecar": (lambda root: (root / "cap.json").touch(), ["S1", "S2", "S3"], "S1 (cap.json is new), S2"),
    "new recording": (lambda root: [shutil.copy(root / f"S3.{e}", root / f"S4.{e}") for e in ("eeg", "tsv")], [], ""),
}  # fmt: skip


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_exactly_what_has_changed_is_prepared_again(root, tmp_path, caplog, change, jobs):
    prepare(root, tmp_path / "store")
    before = {
        r.recording: (tmp_path / "store" / r.file).stat().st_mtime_ns for r in Store(tmp_path / "store").recordings
    }
    alter, again, said = CHANGES[change]
    alter(root)
    summary = prepare(root, tmp_path / "store", jobs=jobs)
    assert summary.errors == []
    assert sorted(summary.again) == again
    assert said in caplog.text
    now = {r.recording: (tmp_path / "store" / r.file).stat().st_mtime_ns for r in Store(tmp_path / "store").recordings}
    assert sorted(name for name in before if now[name] != before[name]) == again
    prepare(root, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fresh", "raw", "store"]


def test_a_sidecar_that_is_gone_is_a_change(root, tmp_path):
    (root / "cap.json").write_text("{}")
    prepare(root, tmp_path / "store")
    (root / "cap.json").unlink()
    assert prepare(root, tmp_path / "store").again["S2"] == ["cap.json is gone"]
    assert "cap.json" not in Store(tmp_path / "store").description.inputs


def test_what_is_unchanged_is_not_read(root, tmp_path, monkeypatch):
    prepare(root, tmp_path / "store")
    before = content(tmp_path / "store"), (tmp_path / "store" / "recordings.tsv").stat().st_mtime_ns
    monkeypatch.setattr(inputs, "_digest", pytest.fail)
    assert prepare(root, tmp_path / "store").again == {}
    assert (content(tmp_path / "store"), (tmp_path / "store" / "recordings.tsv").stat().st_mtime_ns) == before


def test_a_file_that_was_only_touched_is_hashed_once(root, tmp_path, monkeypatch):
    prepare(root, tmp_path / "store")
    before = (tmp_path / "store" / "eeg" / "S1.npy").stat().st_mtime_ns
    os.utime(root / "S1.eeg", ns=(1, 1))
    assert prepare(root, tmp_path / "store").again == {}
    assert (tmp_path / "store" / "eeg" / "S1.npy").stat().st_mtime_ns == before
    row = read_table(tmp_path / "store" / "inputs.tsv", Input)[0]
    assert (row.recording, row.file, row.size, row.modified) == ("S1", "S1.eeg", 1, 1)
    monkeypatch.setattr(inputs, "_digest", pytest.fail)
    prepare(root, tmp_path / "store")


def test_a_recording_that_fails_now_is_no_longer_in_the_store(root, tmp_path, caplog):
    prepare(root, tmp_path / "store")
    edited(root / "S2.tsv", "half a\n")
    (error,) = prepare(root, tmp_path / "store").errors
    assert error.startswith("S2: ValueError: could not convert string to float: 'half'")
    assert "removed from the store, as they are out of date: S2" in caplog.text
    store = Store(tmp_path / "store")
    assert [r.recording for r in store.recordings] == ["S1", "S3"]
    assert store.stimuli == ["a", "c"]
    assert "S2.eeg" not in store.description.inputs
    (row,) = read_table(tmp_path / "store" / "dropped.tsv", Dropped)
    assert (row.recording, row.what, row.reason) == ("S2", "recording", error)
    prepare(root, tmp_path / "store", "S1")  # what was not asked for is still not in the store
    assert len(read_table(tmp_path / "store" / "dropped.tsv", Dropped)) == 1
    edited(root / "S2.tsv", "0.5 a\n2 b\n")
    assert prepare(root, tmp_path / "store").errors == []
    prepare(root, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_a_store_of_which_nothing_can_be_prepared_again_stays(root, tmp_path):
    prepare(root, tmp_path / "store")
    before = content(tmp_path / "store")
    for number in (1, 2, 3):
        edited(root / f"S{number}.eeg", "damaged")
    with pytest.raises(DataError, match=r"could be prepared and the recordings in it are out of date; S1: Value"):
        prepare(root, tmp_path / "store")
    assert {name: there for name, there in content(tmp_path / "store").items() if name in before} == before


def test_what_is_gone_or_not_downloaded_stays_and_is_said(root, tmp_path, caplog):
    prepare(root, tmp_path / "store")
    before = content(tmp_path / "store")
    (root / "S1.eeg").unlink()
    (root / "S2.eeg").unlink()
    (root / "S2.eeg").symlink_to(".git/annex/objects/gone")
    (root / "sounds" / "c.wav").unlink()
    assert prepare(root, tmp_path / "store").errors == []
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "no longer in the raw folder, but kept in the store: S1 (S1.eeg)"
    assert second.startswith("kept as they are, although input files are missing now")
    assert second.endswith(": S2 (S2.eeg), S3 (sounds/c.wav)")
    assert content(tmp_path / "store") == before


def test_another_dataset_of_one_name_is_refused_a_moved_not(root, tmp_path):
    prepare(root, tmp_path / "store")
    before = content(tmp_path / "store")
    other = tmp_path / "other"
    shutil.copytree(root, other)
    (other / "S1.eeg").write_text("11")
    with pytest.raises(
        ConfigError, match=r"prepared from .*raw, and .*other differs from it \(S1: S1\.eeg has changed"
    ):
        prepare(other, tmp_path / "store")
    for number in (1, 2, 3):
        for end in ("eeg", "tsv"):
            (other / f"S{number}.{end}").rename(other / f"P{number}.{end}")
    with pytest.raises(ConfigError, match=r"other holds none of its recordings; choose another OUT"):
        prepare(other, tmp_path / "store")
    assert content(tmp_path / "store") == before
    shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)
    shutil.rmtree(root)
    assert prepare(tmp_path / "moved", tmp_path / "store").again == {}
    assert Store(tmp_path / "store").description.root == str(tmp_path / "moved")
    edited(tmp_path / "moved" / "S1.tsv", "0.9 a\n")
    assert list(prepare(tmp_path / "moved", tmp_path / "store").again) == ["S1"]


def test_recordings_not_asked_for_are_not_left_out_of_date(root, tmp_path):
    prepare(root, tmp_path / "store")
    assert prepare(root, tmp_path / "store", "S1").again == {}
    tone(root / "sounds" / "a.wav", 700)
    with pytest.raises(
        ConfigError, match=r"holds S2, which was not selected .*\(sounds/a\.wav has changed\); prepare all"
    ):
        prepare(root, tmp_path / "store", "S1")
    assert sorted(prepare(root, tmp_path / "store").again) == ["S1", "S2"]


def test_a_recording_of_another_person_now_is_prepared_again(root, tmp_path):
    prepare(root, tmp_path / "store")
    changed = [Source(s.recording, "Ann", "", "", s.inputs, s.load) for s in sources(root)]
    assert prepare_sources(changed, tmp_path / "store", description(), root=root).again["S1"] == [
        "its subject is Ann, was S1"
    ]
    assert Store(tmp_path / "store").subjects == ["Ann"]


def heard(store, recording):
    """Pitches of a recording's sounds in hertz."""
    waves = [store.audio(s.stimulus) for s in store.segments if s.recording == recording]
    return [int(np.abs(np.fft.rfft(wave)).argmax() / len(wave) * 16_000 + 0.5) for wave in waves]


def test_sounds_that_are_no_longer_the_same_are_told_apart(root, tmp_path):
    tone(root / "sounds" / "b.wav", 300)  # as a: one stimulus
    edited(root / "S3.tsv", "1 b\n")
    prepare(root, tmp_path / "store")
    assert Store(tmp_path / "store").stimuli == ["a"]
    tone(root / "sounds" / "a.wav", 700)
    assert sorted(prepare(root, tmp_path / "store").again) == ["S1", "S2"]  # S3 heard b, which is what it was
    store = Store(tmp_path / "store")
    assert [heard(store, name) for name in ("S1", "S2", "S3")] == [[700], [700, 300], [300]]
    (root / "S4.eeg").write_text("4")
    (root / "S4.tsv").write_text("1 a\n")
    prepare(root, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert len(store.stimuli) == 2
    assert heard(store, "S4") == [700]


def test_different_sounds_of_one_name_are_two_stimuli(root, tmp_path, caplog):
    listed = sources(root)
    tone(tmp_path / "a.wav", 700)

    def elsewhere():
        raw = load(root, "S1")
        raw.stimuli = {"a": tmp_path / "a.wav"}
        return raw

    listed[0] = Source("S1", "S1", "", "", listed[0].inputs[:2], elsewhere)
    prepare_sources(listed, tmp_path / "store", description(), root=root)
    store = Store(tmp_path / "store")
    assert [heard(store, name) for name in ("S1", "S2")] == [[700], [300, 350]]
    assert "there are different sounds of one name; the later ones are stimuli of their own: a_" in caplog.text
    assert store.description.inputs["a.wav"]  # of which only the recording itself knew


def test_shards_replace_what_has_changed_when_the_last_is_done(root, tmp_path):
    prepare(root, tmp_path / "store")
    before = content(tmp_path / "store")
    tone(root / "sounds" / "a.wav", 700)
    os.utime(root / "S3.eeg", ns=(1, 1))
    waiting = [prepare(root, tmp_path / "store", shard=Shard(number, 3)).waiting for number in (2, 3)]
    assert waiting == [2, 1]
    assert {name: there for name, there in content(tmp_path / "store").items() if name in before} == before
    assert Store(tmp_path / "store").stimuli == ["a", "b", "c"]
    assert prepare(root, tmp_path / "store", shard=Shard(1, 3)).waiting == 0
    prepare(root, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_a_run_that_is_stopped_leaves_the_store_as_it_was(root, tmp_path, monkeypatch):
    prepare(root, tmp_path / "store")
    before = content(tmp_path / "store")
    tone(root / "sounds" / "a.wav", 700)
    full = sources(root)
    full[1] = Source("S2", "S2", "", "", full[1].inputs, partial(_full_disk))
    with pytest.raises(DiskError):
        prepare_sources(full, tmp_path / "store", description(), root=root)
    assert {name: there for name, there in content(tmp_path / "store").items() if name in before} == before
    tone(root / "sounds" / "a.wav", 500)  # corrected once more, before it goes on
    assert prepare(root, tmp_path / "store").errors == []
    prepare(root, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")
    assert heard(Store(tmp_path / "store"), "S1") == [500]


def _full_disk():
    raise DiskError("store: the disk is full")


@pytest.mark.parametrize("when", ["write", "place"])
def test_a_half_replaced_store_is_refused_until_prepare_has_finished(root, tmp_path, monkeypatch, when):
    prepare(root, tmp_path / "store")
    tone(root / "sounds" / "a.wav", 700)
    place = writer.Content if when == "write" else writer.StoreSounds
    with monkeypatch.context() as patch:
        patch.setattr(place, when, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(root, tmp_path / "store")
    with pytest.raises(DataError, match="prepare is replacing recordings, or was interrupted while it did"):
        Store(tmp_path / "store")
    prepare(root, tmp_path / "store")
    prepare(root, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_a_store_without_inputs_is_read_but_not_added_to(root, tmp_path):
    prepare(root, tmp_path / "store")
    (tmp_path / "store" / "inputs.tsv").unlink()
    assert Store(tmp_path / "store").stimuli == ["a", "b", "c"]
    with pytest.raises(ConfigError, match=r"store: has no inputs\.tsv, so changes .* choose another OUT"):
        prepare(root, tmp_path / "store")


def test_components_fitted_on_another_recording_follow_its_files(root, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "eeg2speech.data.preparation.prepare.preprocess",
        lambda raw, _settings, *_: Prepared(raw.eeg, raw.channels, raw.segments, [], {}),
    )
    listed = [Source(s.recording, "same", "", "", s.inputs, s.load) for s in sources(root)]
    options = {"preprocessing": Preprocessing(ica_fit="S1", ica=_Unchecked()), "root": root}
    prepare_sources(listed, tmp_path / "store", description(), **options)
    edited(root / "S1.eeg", "7")
    again = prepare_sources(listed, tmp_path / "store", description(), **options).again
    assert again == {name: ["S1.eeg has changed"] for name in ("S1", "S2", "S3")}


def _unchecked():
    from eeg2speech.data.preparation.ica import Ica

    return Ica


class _Unchecked(_unchecked()):
    def check(self):
        pass


def test_a_file_that_changes_while_it_is_read_fails_its_recording(root, tmp_path):
    listed = sources(root)

    def load_slowly():
        raw = load(root, "S1")
        edited(root / "S1.tsv", "0.9 a\n")
        return raw

    listed[0] = Source("S1", "S1", "", "", listed[0].inputs, load_slowly)
    (error,) = prepare_sources(listed, tmp_path / "store", description(), root=root).errors
    assert error.endswith("S1.tsv: has changed while it was read; run the same command again")


def test_a_file_that_changes_between_two_recordings_is_said(root, tmp_path):
    listed = sources(root)

    def load_later():
        tone(root / "sounds" / "a.wav", 700)
        return load(root, "S3")

    listed[2] = Source("S3", "S3", "", "", listed[2].inputs, load_later)
    prepare_sources([listed[2], *listed[:1]], tmp_path / "other", description(), root=root)
    tone(root / "sounds" / "a.wav", 300)
    ordered = [listed[0], listed[2], listed[1]]  # S1 hears the old sound, S2 the new one
    (error,) = prepare_sources(ordered, tmp_path / "store", description(), root=root).errors
    assert error == "sounds/a.wav: has changed since S2 was prepared; run the same command again"
