"""On FIF files in place of KIT ones, which mne can read but not write."""

from __future__ import annotations

import pickle
import shutil
from contextlib import suppress

import mne
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meg_masc_files import LEAD, SOUND, WORDS, event_rows, write_events, write_meg_masc

from eeg2speech.core.errors import DataError
from eeg2speech.data.readers.meg_masc import MegMasc, read_events


def load(root, **options):
    source = MegMasc(root, **options).sources()[0]
    return pickle.loads(pickle.dumps(source.load))()


def events(root):
    return root / "sub-01" / "ses-0" / "meg" / "sub-01_ses-0_task-0_events.tsv"


@pytest.fixture
def root(tmp_path):
    return write_meg_masc(tmp_path / "masc")


def test_a_segment_per_sound_with_its_words(root):
    raw = load(root)
    assert [(s.stimulus, s.onset, s.duration, s.offset) for s in raw.segments] == [
        ("lw1_0", LEAD, pytest.approx(SOUND, abs=1e-3), 0.0),
        ("lw1_1", LEAD + SOUND, pytest.approx(SOUND, abs=1e-3), 0.0),
    ]
    assert {(s.condition, s.text) for s in raw.segments} == {("listening", " ".join(WORDS))}
    assert {name: file.name for name, file in raw.stimuli.items()} == {"lw1_0": "lw1_0.wav", "lw1_1": "lw1_1.wav"}


def test_sensors_are_magnetometers_in_teslas_with_positions(root):
    raw = load(root)
    assert raw.rate == 1000
    assert raw.eeg.shape == (12, 7500)
    assert {channel.type for channel in raw.channels} == {"mag"}
    assert np.asarray(raw.eeg[0:12, 0:7500]).std() == pytest.approx(1e-13, rel=0.05)
    assert raw.channels[0].x == pytest.approx(0.1, abs=1e-6)


def test_recordings_are_listed_by_participant_session_and_story(tmp_path):
    root = write_meg_masc(tmp_path / "masc", sessions=("0", "1"), tasks=("0", "1"), sounds=1)
    sources = MegMasc(root).sources()
    assert len(sources) == 8
    first = sources[0]
    assert (first.recording, first.subject, first.session, first.run) == ("sub-01_ses-0_task-0", "01", "0", "0")
    assert [f.name for f in first.inputs] == [
        *("sub-01_ses-0_task-0_meg.fif", "sub-01_ses-0_task-0_events.tsv", "cable_spool_fort_0.wav", "lw1_0.wav")
    ]
    assert {s.session for s in MegMasc(root, subjects=[2], sessions=[1]).sources()} == {"1"}
    (root / "sub-01" / "ses-0" / "meg" / "sub-01_ses-0_task-1_meg.fif").unlink()
    lacking = MegMasc(root).sources()[1]
    with pytest.raises(DataError, match=r"no sub-01_ses-0_task-1_meg\.con beside it; download it"):
        lacking.load()


def test_kit_files_go_to_the_kit_reader(root, monkeypatch):
    fif = root / "sub-01" / "ses-0" / "meg" / "sub-01_ses-0_task-0_meg.fif"
    con = fif.with_suffix(".con")
    con.write_bytes(b"stands for a KIT file")
    asked = []

    def read_raw_kit(file, verbose):
        asked.append(file)
        return mne.io.read_raw_fif(fif, verbose=verbose)

    monkeypatch.setattr("mne.io.read_raw_kit", read_raw_kit)
    assert len(load(root).segments) == 2
    assert asked == [con]
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"task-0_meg\.con: cut short or damaged"):
        load(root)


@pytest.mark.parametrize("name", ["stimuli/audio/LW1_0.wav", "stimuli/audio/LW1_0.0.wav"])
def test_sounds_in_capitals_or_with_another_number_are_found(root, name):
    rows = event_rows("lw1", 1)
    rows[0][2]["sound"] = name
    write_events(events(root), rows)
    assert load(root).segments[0].stimulus == "lw1_0"


def test_a_late_sound_is_cut_and_the_next_ends_it(root):
    rows = [(1.0, 0.0, {"kind": "sound", "sound": "stimuli/audio/lw1_0.wav", "start": 2.5})]
    rows += [(2.0, 0.0, {"kind": "sound", "sound": "stimuli/audio/lw1_1.wav", "start": 0.0})]
    rows += [(3.0, 0.0, {"kind": "sound", "sound": "stimuli/audio/lw1_0.wav", "start": 0.0})]
    rows += [(9.0, 0.0, {"kind": "sound", "sound": "stimuli/audio/lw1_1.wav", "start": 0.0})]
    write_events(events(root), rows)
    spans = [(s.onset, s.duration, s.offset) for s in load(root).segments]
    assert spans == [pytest.approx(span, abs=1e-3) for span in [(1.0, 0.5, 2.5), (2.0, 1.0, 0.0), (3.0, 3.0, 0.0)]]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("__import__('os').getcwd()", r"line 2: trial_type \"__import__.* is no dictionary"),
        ("{'kind': 'word', 'word': open}", "line 2: .* is no dictionary"),
        ("{'kind': 'word'", "line 2: .* is no dictionary"),
        ("[1, 2]", r"line 2: trial_type '\[1, 2\]' has no kind"),
        ("{'kind': 'word', 'word': '" + "a" * 3000 + "'}", "line 2: a description of 30.. characters"),
        ("(" * 1500, "line 2: .* is no dictionary"),
        ("{'kind': 'sound', 'sound': '../../secret.wav', 'start': 0.0}", "leads out of"),
        ("{'kind': 'sound', 'sound': 'stimuli/audio/lw9_0.wav', 'start': 0.0}", r"lw9_0\.wav: missing"),
        ("{'kind': 'sound', 'start': 0.0}", "line 2: names the sound None"),
        ("{'kind': 'sound', 'sound': 'stimuli/audio/lw1_0.wav', 'start': 'x'}", "line 2: 'x' is not a number"),
    ],
)
def test_descriptions_that_are_not_plain_are_refused(root, cell, message):
    events(root).write_text(f"onset\tduration\ttrial_type\n1.0\t0.1\t{cell}\n")
    with pytest.raises(DataError, match=message):
        load(root)


def test_tables_that_are_damaged_name_the_line(root):
    events(root).write_text("onset\ttrial_type\nsoon\t{'kind': 'word', 'word': 'a'}\n")
    with pytest.raises(DataError, match=r"events\.tsv: line 2: 'soon' is not a number"):
        load(root)
    events(root).write_text("onset\tduration\n1\t2\n")
    with pytest.raises(DataError, match="no column trial_type"):
        load(root)
    shutil.rmtree(root / "sub-02")
    shutil.rmtree(root / "sub-01")
    with pytest.raises(DataError, match="holds no sub-01/ses-0/meg"):
        MegMasc(root).sources()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300))
def test_any_text_in_a_table_is_read_or_a_data_error(root, text):
    events(root).write_text("onset\ttrial_type\n1.0\t" + text + "\n", encoding="utf-8", errors="replace")
    with suppress(DataError):
        read_events(events(root))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 0.99))
def test_signals_cut_short_anywhere_raise_data_errors_only(root, keep):
    file = root / "sub-01" / "ses-0" / "meg" / "sub-01_ses-0_task-0_meg.fif"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    with suppress(DataError):  # a FIF file's whole buffers may still be read
        load(root)
    file.write_bytes(content)


def test_a_table_without_sounds_keeps_the_recording_and_is_named(root, caplog):
    events(root).write_text("onset\tduration\ttrial_type\n")
    raw = load(root)
    assert [(s.onset, s.duration, s.stimulus, s.condition) for s in raw.segments] == [(0.0, 7.5, "", "rest")]
    assert [(lost.what, lost.reason) for lost in raw.lost] == [("sound", "its table of events has no sounds")]
    assert caplog.messages == [f"{events(root)}: has no rows of sounds; the recording is kept without a sound"]
