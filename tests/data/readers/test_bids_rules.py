from __future__ import annotations

import pickle
import shutil
from collections import Counter

import numpy as np
import pytest
from ds004408_files import write_ds004408
from japaneeg_files import SENTENCES, write_japaneeg

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.readers import READERS
from eeg2speech.data.readers.bids_rules import FOLDER, rules_reader
from eeg2speech.data.store.store import Store

Ds004408, JapanEeg = READERS["ds004408"], READERS["japaneeg"]


@pytest.fixture(scope="module")
def ds004408(tmp_path_factory):
    return write_ds004408(tmp_path_factory.mktemp("story") / "ds004408")


def test_runs_are_paired_with_their_part_of_the_story(ds004408):
    sources = Ds004408(ds004408, subjects=[2]).sources()
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
    assert raw.stimuli == {"audio02": ds004408 / "stimuli" / "audio02.wav"}


def test_electrodes_sit_where_biosemi_puts_them(ds004408):
    places = {c.name: np.array([c.x, c.y, c.z]) for c in Ds004408(ds004408, runs=["01"]).sources()[0].load().channels}
    assert np.isfinite(list(places.values())).all()
    assert places["A1"][2] == max(place[2] for place in places.values())  # the vertex
    assert places["C17"][1] > 0.08  # the forehead
    assert places["D23"][0] < -0.06 < 0.06 < places["B26"][0]  # over the left and the right ear


def test_it_becomes_a_store_of_one_story(ds004408, tmp_path):
    reader = Ds004408(ds004408)
    assert not prepare_sources(reader.sources(), tmp_path / "store", reader.description(), root=ds004408).errors
    store = Store(tmp_path / "store")
    assert store.subjects == ["001", "002"]
    assert store.stimuli == ["audio01", "audio02"]
    assert store.description.license == "CC0"


def test_a_part_of_the_story_that_is_missing_is_named(tmp_path):
    root = write_ds004408(tmp_path / "ds004408", subjects=("001",), runs=("01",))
    (root / "stimuli" / "audio01.wav").unlink()
    with pytest.raises(DataError, match=r"sub-001_task-listening_run-01_eeg\.vhdr: sound .*audio01\.wav is missing"):
        Ds004408(root).sources()[0].load()


@pytest.fixture(scope="module")
def japaneeg(tmp_path_factory):
    return write_japaneeg(tmp_path_factory.mktemp("japan") / "ds007808")


def load(root, **kwargs):
    (source,) = JapanEeg(root, **kwargs).sources()
    return source.load()


def test_sentences_read_aloud_are_found_in_the_sound_of_their_run(japaneeg):
    (source,) = JapanEeg(japaneeg, subjects=[1], sessions=[20230829], tasks=["speechopen"], runs=[1]).sources()
    assert source.recording == "sub-01_ses-20230829_task-speechopen_acq-pangolin_run-01"
    assert (source.subject, source.session, source.run) == ("01", "20230829", "01")
    raw = source.load()
    assert Counter(channel.type for channel in raw.channels) == {"eeg": 6, "eog": 1}
    assert [(s.onset, s.duration, s.offset, s.condition, s.text) for s in raw.segments] == [
        (1.0, 2.5, 3.0, "overt", SENTENCES[0]),
        (6.0, 2.5, 8.0, "overt", SENTENCES[1]),
    ]
    (stimulus,) = raw.stimuli
    assert stimulus == f"sub-01_ses-20230829_beh_{source.recording}_recording-vocal_beh"
    assert "recording-vocal_beh.wav" in str(source.inputs[-1])


def test_imagined_sentences_have_text_but_no_sound(japaneeg, caplog):
    raw = load(japaneeg, tasks=["listeningcovert"])
    assert [(s.onset, s.condition, bool(s.stimulus), s.text) for s in raw.segments] == [
        (1.0, "listening", True, SENTENCES[0]),
        (3.5, "imagined", False, SENTENCES[0]),
        (6.0, "listening", True, SENTENCES[1]),
        (8.5, "imagined", False, SENTENCES[1]),
    ]
    assert np.isnan([channel.x for channel in raw.channels]).all()
    assert "no position is known for EEG001" in caplog.text


def test_a_download_without_sounds_keeps_what_was_said(tmp_path):
    root = write_japaneeg(tmp_path / "ds007602", tasks=("speechopen",))
    for file in root.rglob("*.wav"):
        file.unlink()
    with pytest.raises(DataError, match=r"_events\.tsv: line 2: sound .*recording-vocal_beh\.wav is missing"):
        load(root)
    raw = load(root, sound=False)
    assert [(s.stimulus, s.text) for s in raw.segments] == [("", SENTENCES[0]), ("", SENTENCES[1])]
    assert not raw.stimuli


def test_a_file_of_the_users_own_adds_a_dataset_without_code(ds004408, tmp_path, capsys):
    rules = tmp_path / "my_story.yaml"
    text = (FOLDER / "ds004408.yaml").read_text().replace("OpenNeuro ds004408", "My story", 1)
    rules.write_text(text.replace("options:", "options:\n  onset: 0.25"))
    source = rules_reader(rules)(ds004408, onset=0.5).sources()[0]
    assert pickle.loads(pickle.dumps(source.load))().segments[0].onset == 0.75
    with pytest.raises(SystemExit) as left:
        main(["prepare", str(rules), "--help"])
    assert left.value.code == 0
    assert "--sound" in capsys.readouterr().out
    # the recordings hold noise
    given = ["--preprocessing.deviation=null", "--preprocessing.flat=null"]
    command = ["prepare", str(rules), str(ds004408), str(tmp_path / "store"), "--subjects=[1]", *given]
    assert main(command) == 0, capsys.readouterr().err
    store = Store(tmp_path / "store")
    assert (store.description.name, store.description.settings["reader"]) == ("My story", "my_story")
    assert store.stimuli == ["audio01", "audio02"]
    rules.write_text(text)
    assert main(command) == 1
    assert "was prepared with reader.options=" in capsys.readouterr().err


def test_without_sounds_a_whole_recording_has_no_segment_of_speech(tmp_path):
    root = write_ds004408(tmp_path / "ds004408", subjects=("001",), runs=("01",))
    shutil.rmtree(root / "stimuli")
    raw = Ds004408(root, sound=False).sources()[0].load()
    assert [(s.stimulus, s.condition) for s in raw.segments] == [("", "rest")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "has no options"),
        ("title: x", "has no options"),
        ("options: {]", "cannot be read"),
        ("options: {}\nsounds: []", "unknown key 'sounds'"),
        ("options: {tempo: 3}", "options: .*tempo"),
        ("options: {datatype: ecg}", "options: .*datatype"),
        ("options: {sounds: [{sund: a.wav}]}", "options: .*sund"),
        ("options: {sounds: [{match: '('}]}", r"sounds\[0\]\.match='\('"),
    ],
)
def test_files_that_cannot_be_used_are_refused(ds004408, tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        rules_reader(file)(ds004408).sources()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        rules_reader(tmp_path / "gone.yaml")
