from __future__ import annotations

import json
import logging
import os
import pickle
import re
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import mne
import numpy as np
import pytest
from bids_files import NAMES, volts, write_bids, write_recording, write_sound, write_tsv
from hypothesis import given, settings
from hypothesis import strategies as st

from eeg2speech.cli import main
from eeg2speech.core.errors import DataError
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.store.store import Store

FORMATS = (".vhdr", ".edf", ".bdf", ".set", ".fif")
ONE = ("01",)
EVERYTHING = (slice(None), slice(None))


def load(root, **kwargs):
    (source,) = Bids(root, **kwargs).sources()
    return source.load()


def outcome(source):
    """The recording once its signal was read, or the message of its error."""
    try:
        raw = source.load()
        assert np.asarray(raw.eeg[EVERYTHING]).shape == raw.eeg.shape
        return raw, ""
    except DataError as error:
        return None, str(error)


def event(**cells):
    return {"onset": 1.0, "duration": "n/a", "trial_type": "heard", "stim_file": "b.wav"} | cells


def stem(root, subject="01"):
    return root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-listening_run-1"


def beside(root, ending, subject="01"):
    file = stem(root, subject)
    return file.with_name(f"{file.name}_{ending}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_volts_names_and_types(tmp_path, suffix):
    raw = load(write_bids(tmp_path / "bids", ONE, suffix=suffix))
    assert raw.rate == 100
    assert raw.eeg.shape == (6, 1000)
    np.testing.assert_allclose(raw.eeg[EVERYTHING], volts(seed=1), atol=3e-9)
    assert [channel.name for channel in raw.channels] == list(NAMES)
    assert [channel.type for channel in raw.channels] == ["eeg"] * 5 + ["eog"]  # by channels.tsv
    assert all(np.isfinite(channel.x) for channel in raw.channels[:5])
    assert raw.channels[3].x < -0.07  # T7 is left


def test_stim_files_become_segments_with_sounds(tmp_path):
    root = write_bids(tmp_path / "bids", ("01", "02"), runs=("1", "2"))
    sources = Bids(root).sources()
    assert [source.recording for source in sources] == [
        f"sub-{subject}_task-listening_run-{run}" for subject in ("01", "02") for run in "12"
    ]
    assert (sources[1].subject, sources[1].session, sources[1].run) == ("01", "", "2")
    names = {file.name for file in sources[0].inputs}
    assert {"a.wav", "b.wav", f"{sources[0].recording}_events.tsv", f"{sources[0].recording}_eeg.eeg"} <= names
    raw = pickle.loads(pickle.dumps(sources[0])).load()
    assert [(s.onset, s.duration, s.offset, s.stimulus) for s in raw.segments] == [
        (1.0, 3.0, 0.0, "story_a"),
        (5.0, 2.0, 0.0, "b"),
    ]
    assert {s.condition for s in raw.segments} == {"listening"}
    assert {s.label for s in raw.segments} == {"heard"}
    assert raw.stimuli == {"story_a": root / "stimuli" / "story" / "a.wav", "b": root / "stimuli" / "b.wav"}


def test_a_read_only_dataset_is_prepared_and_left_as_it_was(tmp_path):
    root = write_bids(tmp_path / "bids")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    reader = Bids(root, condition="overt")
    assert not prepare_sources(reader.sources(), tmp_path / "store", reader.description(), root=root).errors
    store = Store(tmp_path / "store")
    assert store.description.name == "Tiny"
    assert store.description.license == "CC0"
    assert store.description.citation == "A. Author, B. Author"
    assert store.stimuli == ["b", "story_a"]
    assert {segment.condition for segment in store.segments} == {"overt"}
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_delay_moves_every_onset(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    assert [segment.onset for segment in load(root, onset=0.25).segments] == [1.25, 5.25]
    with pytest.raises(DataError, match="onset -1 s does not lie in the recording"):
        load(root, onset=-2.0)


def test_segments_end_with_sound_and_recording(tmp_path, caplog):
    events = [event(onset=0, duration=1.5), event(onset=2, duration=9), event(onset=9)]
    with caplog.at_level(logging.INFO):
        raw = load(write_bids(tmp_path / "bids", ONE, events=events))
    assert [(s.onset, s.duration) for s in raw.segments] == [(0, 1.5), (2, 2), (9, 1)]
    assert "2 of 3 segments end with the recording or their sound" in caplog.text


def test_a_zero_duration_lasts_as_long_as_the_sound(tmp_path):
    assert load(write_bids(tmp_path / "bids", ONE, events=[event(duration=0)])).segments[0].duration == 2


def test_uris_and_paths_from_the_root_are_understood(tmp_path):
    events = [event(stim_file="bids::stimuli/b.wav"), event(stim_file="stimuli/story/a.wav")]
    raw = load(write_bids(tmp_path / "bids", ONE, events=events))
    assert [segment.stimulus for segment in raw.segments] == ["b", "story_a"]


def test_sounds_that_would_share_an_id_keep_their_own(tmp_path):
    root = write_bids(tmp_path / "bids", ONE, events=[event(stim_file=f) for f in ("story/a.wav", "story_a.wav")])
    write_sound(root / "stimuli" / "story_a.wav", 1.0, 700)
    first, second = load(root).segments
    assert first.stimulus != second.stimulus
    assert first.stimulus.startswith("story_a_")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"onset": -3}, r"line 2: onset -3 s does not lie in the recording of 10 s"),
        ({"onset": 10}, r"line 2: onset 10 s does not lie in the recording of 10 s"),
        ({"onset": "nan"}, r"line 2: onset 'nan' is no number of seconds"),
        ({"onset": "soon"}, r"line 2: onset 'soon' is no number of seconds"),
        ({"duration": "inf"}, r"line 2: duration 'inf' is no number of seconds"),
        ({"duration": -1}, r"line 2: duration -1 s"),
        ({"stim_file": "c.wav"}, r"line 2: sound .*stimuli/c\.wav is missing; download it"),
        ({"stim_file": "../../secret.wav"}, r"line 2: '../../secret\.wav' leads out of"),
        ({"stim_file": "/etc/secret.wav"}, r"line 2: '/etc/secret\.wav' leads out of"),
        ({"stim_file": "bids:other:c.wav"}, r"line 2: 'bids:other:c\.wav' is in another dataset"),
    ],
)
def test_absurd_events_are_named_by_file_and_line(tmp_path, cells, message):
    root = write_bids(tmp_path / "bids", ONE, events=[event(**cells)])
    with pytest.raises(DataError, match=r"_events\.tsv: " + message):
        load(root)


def test_a_damaged_recording_does_not_harm_the_others(tmp_path):
    root = write_bids(tmp_path / "bids", ("01", "02"))
    beside(root, "events.tsv").write_text("onset\tduration\n1\n")
    reader = Bids(root)
    (error,) = prepare_sources(reader.sources(), tmp_path / "store", reader.description()).errors
    assert "sub-01_task-listening_run-1_events.tsv: line 2: 1 cells under 2 columns" in error
    assert Store(tmp_path / "store").subjects == ["02"]


@pytest.mark.parametrize("text", ["", "onset\tduration\ttrial_type\n", "onset\tduration\n\n", "\ufeff"])
def test_recordings_without_sounds_are_kept_as_rest(tmp_path, text):
    root = write_bids(tmp_path / "bids", ONE)
    beside(root, "events.tsv").write_text(text)
    (segment,) = load(root).segments
    assert (segment.onset, segment.duration, segment.stimulus, segment.condition) == (0, 10, "", "rest")


def test_tables_may_begin_with_a_byte_order_mark_and_sit_above(tmp_path):
    root = write_bids(tmp_path / "bids", ("01", "02"))
    for subject in ("01", "02"):
        table = beside(root, "events.tsv", subject)
        content = table.read_text()
        table.unlink()
    (root / "task-listening_events.tsv").write_text("\ufeff" + content)
    (root / "task-other_events.tsv").write_text("junk")
    assert [len(source.load().segments) for source in Bids(root).sources()] == [2, 2]


def test_pictures_and_rows_without_onset_are_passed_over(tmp_path, caplog):
    events = [event(stim_file="face.png"), event(onset="n/a"), event()]
    assert len(load(write_bids(tmp_path / "bids", ONE, events=events)).segments) == 1
    assert "no sounds are skipped (.png)" in caplog.text


def channels(**changes):
    rows = [{"name": name, "type": "EOG" if name == "EOG" else "EEG", "status": "good"} for name in NAMES]
    for name, row in changes.items():
        rows[NAMES.index(name)] |= row
    return rows


def test_bad_channels_and_types_come_from_the_table_in_any_order(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    write_tsv(beside(root, "channels.tsv"), reversed(channels(Cz={"status": "bad"}, T7={"type": "MISC"})))
    raw = load(root)
    assert [(c.name, c.status) for c in raw.channels] == [
        ("Fp1", "good"), ("Fp2", "good"), ("Cz", "bad"), ("Oz", "good"), ("EOG", "good"),
    ]  # fmt: skip


def test_wrong_channel_tables_are_named(tmp_path, caplog):
    root = write_bids(tmp_path / "bids", ONE)
    table = beside(root, "channels.tsv")
    write_tsv(table, channels(Cz={"name": "T7"}))
    with pytest.raises(DataError, match=r"channels\.tsv: line 5: channel 'T7' occurs twice"):
        load(root)
    write_tsv(table, [{"name": f"E{n}", "type": "EEG"} for n in range(6)])
    with pytest.raises(DataError, match=r"channels\.tsv: none of its channels \(E0, E1, E2, ...\) is in"):
        load(root)
    write_tsv(table, channels()[:5])
    assert len(load(root).channels) == 6
    assert "has no rows for 1 channels (EOG, ...)" in caplog.text


@pytest.mark.parametrize("suffix", [".vhdr", ".edf"])
def test_a_name_that_occurs_twice_is_refused(tmp_path, suffix):
    root = write_bids(tmp_path / "bids", ONE, suffix=suffix)
    file = beside(root, f"eeg{suffix}")
    old, new = (b"Ch2=Fp2", b"Ch2=Fp1") if suffix == ".vhdr" else (b"Fp2", b"Fp1")
    assert old in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(old, new))
    with pytest.raises(
        DataError, match=r"_eeg\.(vhdr|edf): .*(channel name 'Fp1' occurs more than once|Channel Fp1-0)"
    ):
        load(root)


def test_a_recording_without_samples_is_refused(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    beside(root, "eeg.eeg").write_bytes(b"")
    with pytest.raises(DataError, match=r"_eeg\.vhdr: holds no samples|_eeg\.vhdr: cut short"):
        load(root)


def test_unknown_electrodes_go_without_a_place_and_are_named(tmp_path, caplog):
    names = ("Fp1", "EEG Cz-REF", "X17", "T3")
    raw = load(write_bids(tmp_path / "bids", ONE, names=names))
    assert [np.isfinite(channel.x) for channel in raw.channels] == [True, True, False, True]
    assert "no position is known for X17 (not in standard_1005)" in caplog.text
    with pytest.raises(DataError, match="montage 'cap' is not built in"):
        load(tmp_path / "bids", montage="cap")


def write_electrodes(root, system, units="m", landmarks=None, places=None, space=""):
    """The same electrodes, in the coordinates that are given."""
    folder = root / "sub-01" / "eeg"
    places = places or {"Fp1": (-0.03, 0.1, 0.03), "Cz": (0.0, 0.0, 0.12), "T7": (-0.08, 0.0, 0.04)}
    rows = [dict(zip(("name", "x", "y", "z"), (name, *xyz), strict=True)) for name, xyz in places.items()]
    write_tsv(folder / f"sub-01{space}_electrodes.tsv", rows)
    said = {"EEGCoordinateSystem": system, "EEGCoordinateUnits": units}
    said |= {"AnatomicalLandmarkCoordinates": landmarks} if landmarks else {}
    (folder / f"sub-01{space}_coordsystem.json").write_text(json.dumps(said))


def place(raw, name):
    return next((c.x, c.y, c.z) for c in raw.channels if c.name == name)


def test_positions_in_coordinates_of_the_head(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    places = {"Fp1": (-30, 100, 30), "Cz": (0, 0, 120), "T7": (-80, 0, 40)}
    write_electrodes(root, "CapTrak", "mm", places=places, space="_space-CapTrak")
    assert place(load(root), "Fp1") == pytest.approx((-0.03, 0.1, 0.03))


def test_landmarks_turn_and_move_positions_into_the_head(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    head = {"Fp1": (-0.03, 0.1, 0.03), "Cz": (0.0, 0.0, 0.12), "T7": (-0.08, 0.0, 0.04)}
    landmarks = {"NAS": (0.0, 0.1, 0.0), "LPA": (-0.08, 0.0, 0.0), "RPA": (0.08, 0.0, 0.0)}

    def elsewhere(xyz):
        x, y, z = xyz
        return (1000 * y + 7, -1000 * x - 3, 1000 * z + 20)

    write_electrodes(
        root,
        "Other",
        "mm",
        {name: elsewhere(xyz) for name, xyz in landmarks.items()},
        {name: elsewhere(xyz) for name, xyz in head.items()},
    )
    raw = load(root)
    for name, xyz in head.items():
        assert place(raw, name) == pytest.approx(xyz, abs=1e-6)


def test_axes_that_point_elsewhere_are_turned(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "EEGLAB", places={"Fp1": (0.1, 0.03, 0.03), "Cz": (0, 0, 0.12), "T7": (0, 0.08, 0.04)})
    assert place(load(root), "Fp1") == pytest.approx((-0.03, 0.1, 0.03))


@pytest.mark.parametrize(
    ("system", "units", "said"),
    [
        ("Other", "m", "EEGCoordinateSystem='Other' without landmarks cannot be transformed to the head"),
        (
            "CapTrak",
            "n/a",
            "EEGCoordinateUnits is 'n/a', not m, cm or mm; as they lie 0.106 from the origin",
        ),
        ("CapTrak", "cm", "in cm its electrodes lie 0.00106 m from the middle of the head on average"),
    ],
)
def test_positions_not_understood_are_replaced_by_those_of_names(tmp_path, caplog, system, units, said):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, system, units)
    assert place(load(root), "Fp1")[1] == pytest.approx(0.115, abs=0.01)
    assert said in caplog.text


MEASURED = {"Fp1": (-0.03, 0.1, 0.03), "Fp2": (0.03, 0.1, 0.03), "Cz": (0.0, 0.0, 0.12), "T7": (-0.08, 0.0, 0.04)}
MEASURED |= {"Oz": (0.0, -0.09, 0.03)}


@pytest.mark.parametrize(
    "spelling",
    [str.upper, str.lower, lambda name: f" {name} ", lambda name: {"T7": "T3"}.get(name, name), "EEG {}-REF".format],
)
def test_electrodes_are_found_however_they_are_spelt(tmp_path, caplog, spelling):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", places={spelling(n): xyz for n, xyz in MEASURED.items()} | {"Ref": (0, 0, 0.1)})
    raw = load(root)
    for name, xyz in MEASURED.items():
        assert place(raw, name) == pytest.approx(xyz)
    assert caplog.messages == []


def test_electrodes_of_which_none_is_in_the_recording_are_said(tmp_path, caplog):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", places={f"E{n}": xyz for n, xyz in enumerate(MEASURED.values())})
    assert place(load(root), "Fp1")[1] == pytest.approx(0.115, abs=0.01)
    (line,) = caplog.messages
    assert "electrodes.tsv: none of its electrodes (E0, E1, E2, ...) is in sub-01_task-listening_run-1_eeg.vhdr" in line


def test_measured_and_standard_positions_are_not_mixed_without_a_word(tmp_path, caplog):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", places=MEASURED | {"Oz": ("n/a", "n/a", "n/a")})
    assert place(load(root), "Fp1") == pytest.approx(MEASURED["Fp1"])
    assert "gives no positions for 1 of its 5 electrodes (Oz); they get those of standard_1005, fitted" in caplog.text
    caplog.clear()
    write_electrodes(root, "CapTrak", places={"Fp1": MEASURED["Fp1"], "Cz": MEASURED["Cz"], "T7": (0, 0, 0)})
    assert place(load(root), "Fp1")[1] == pytest.approx(0.115, abs=0.01)
    assert "gives positions for only 2 of its 5 electrodes; all get those of standard_1005 by name" in caplog.text


@pytest.mark.parametrize(("units", "factor"), [("mm", 1000), ("cm", 100), ("m", 1), ("MM", 1000), (" m", 1)])
def test_units_of_coordinates_are_kept_apart(tmp_path, caplog, units, factor):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", units, places={n: tuple(factor * v for v in p) for n, p in MEASURED.items()})
    assert place(load(root), "Cz") == pytest.approx(MEASURED["Cz"])
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("units", "factor", "said"),
    [
        ("m", 1000, r"in m its electrodes lie 10\d m from .* they look like millimetres; correct EEGCoordinateUnits"),
        ("n/a", 1000, r"EEGCoordinateUnits is 'n/a', not m, cm or mm; as they lie 10\d from .*, mm would be right"),
        ("", 100, r"EEGCoordinateUnits is 'n/a', not m, cm or mm; as they lie 10\.\d from .*, cm would be right"),
        ("inch", 1, r"EEGCoordinateUnits is 'inch', not m, cm or mm; as they lie 0\.1\d* from .*, m would be right"),
    ],
)
def test_absent_and_wrong_units_of_coordinates_are_said(tmp_path, caplog, units, factor, said):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", units, places={n: tuple(factor * v for v in p) for n, p in MEASURED.items()})
    assert place(load(root), "Fp1")[1] == pytest.approx(0.115, abs=0.01)
    (line,) = caplog.messages
    assert re.search(rf"coordsystem\.json: {said}.*; the positions of its electrodes are not used$", line)


def test_landmarks_in_another_unit_are_not_used(tmp_path, caplog):
    root = write_bids(tmp_path / "bids", ONE)
    landmarks = {"NAS": (0.0, 0.1, 0.0), "LPA": (-0.08, 0.0, 0.0), "RPA": (0.08, 0.0, 0.0)}
    write_electrodes(root, "Other", "mm", landmarks, {n: tuple(1000 * v for v in p) for n, p in MEASURED.items()})
    load(root)
    assert "EEGCoordinateSystem='Other' without landmarks cannot be transformed" in caplog.text


def test_an_electrode_that_occurs_twice_is_refused(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", places=MEASURED)
    table = root / "sub-01" / "eeg" / "sub-01_electrodes.tsv"
    table.write_text(table.read_text() + "Cz\t0\t0\t0.1\n")
    with pytest.raises(DataError, match=r"electrodes\.tsv: line 7: electrode 'Cz' occurs twice"):
        load(root)


def test_names_of_channels_tsv_are_compared_as_those_of_electrodes(tmp_path, caplog):
    names = ("EEG Fp1-REF", "EEG Fp2-REF", "EEG Cz-REF", "EEG T3-REF", "Oz.", "EOG")
    root = write_bids(tmp_path / "bids", ONE, names=names)
    rows = [
        {"name": n, "type": "EEG", "status": "bad" if n == "T7" else "good"} for n in ("FP1", "fp2", "Cz", "T7", "OZ")
    ]
    write_tsv(beside(root, "channels.tsv"), [*rows, {"name": "eog", "type": "EOG", "status": "good"}])
    raw = load(root)
    assert [c.type for c in raw.channels] == ["eeg"] * 5 + ["eog"]
    assert [c.name for c in raw.channels if c.status == "bad"] == ["EEG T3-REF"]
    assert caplog.messages == []


def test_rows_of_channels_tsv_that_no_recording_has_are_said(tmp_path, caplog):
    root = write_bids(tmp_path / "bids", ONE)
    extra = [{"name": n, "type": kind, "status": "bad"} for n, kind in (("Pz", "EEG"), ("TRIG", "TRIG"))]
    write_tsv(beside(root, "channels.tsv"), [*channels(), *extra])
    assert len(load(root).channels) == 6
    assert [line.partition("channels.tsv: ")[2] for line in caplog.messages] == [
        "1 of its channels (Pz, ...) are not in sub-01_task-listening_run-1_eeg.vhdr"
    ]


def test_depth_electrodes_are_found_without_case_but_have_no_synonyms(tmp_path, caplog):
    folder = tmp_path / "bids" / "sub-01" / "ieeg"
    write_recording(folder / "sub-01_task-x_ieeg.edf", volts(3), ("T3", "LA1", "LA2"))
    write_tsv(folder / "sub-01_task-x_channels.tsv", [{"name": n, "type": "SEEG"} for n in ("T3", "la1", "la2")])
    places = {"T7": (-40, -10, 20), "la1": (-30, -10, 20), "LA2": (-35, -10, 20)}
    write_tsv(
        folder / "sub-01_electrodes.tsv", [{"name": n, "x": x, "y": y, "z": z} for n, (x, y, z) in places.items()]
    )
    said = {"iEEGCoordinateSystem": "ACPC", "iEEGCoordinateUnits": "mm"}
    (folder / "sub-01_coordsystem.json").write_text(json.dumps(said))
    raw = load(tmp_path / "bids")
    assert place(raw, "LA1") == pytest.approx((-0.03, -0.01, 0.02))
    assert place(raw, "LA2") == pytest.approx((-0.035, -0.01, 0.02))
    assert np.isnan(place(raw, "T3")).all()
    (folder / "sub-01_coordsystem.json").write_text(json.dumps(said | {"iEEGCoordinateUnits": "m"}))
    assert np.isnan(place(load(tmp_path / "bids"), "LA1")).all()
    assert re.search(r"in m electrodes lie 4\d\.?\d* m away; correct iEEGCoordinateUnits", caplog.text)


def test_damaged_electrodes_are_named(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    write_electrodes(root, "CapTrak", places={"Fp1": ("left", 0.1, 0.1)})
    with pytest.raises(DataError, match=r"electrodes\.tsv: line 2: could not convert"):
        load(root)
    write_electrodes(root, "CapTrak")
    (root / "sub-01" / "eeg" / "sub-01_coordsystem.json").write_text("{")
    with pytest.raises(DataError, match=r"coordsystem\.json: cut short or damaged"):
        load(root)


def test_selections(tmp_path):
    root = write_bids(tmp_path / "bids", ("01", "02"), runs=("1", "2"))
    found = Bids(root, subjects=[2], runs=["02"], tasks=["listening"]).sources()
    assert [source.recording for source in found] == ["sub-02_task-listening_run-2"]
    with pytest.raises(DataError, match=r"no participant '7'|no subject '7'; it holds 01, 02"):
        Bids(root, subjects=[7]).sources()
    with pytest.raises(DataError, match="no task 'speaking'; it holds listening"):
        Bids(root, tasks=["speaking"]).sources()
    with pytest.raises(DataError, match="holds no recording of meg"):
        Bids(root, datatype="meg").sources()
    with pytest.raises(DataError, match="no such folder"):
        Bids(root / "nowhere").sources()


def dangle(file):
    file.unlink()
    file.symlink_to("../../.git/annex/objects/k1/Zq/MD5E-s1--z/MD5E-s1--z")


def test_what_was_not_downloaded_is_counted_and_costs_no_other_recording(tmp_path, capsys):
    root = write_bids(tmp_path / "bids", ("01", "02", "03", "04"))
    lost = [beside(root, "eeg.vhdr", "01"), beside(root, "events.tsv", "02"), beside(root, "eeg.eeg", "03")]
    for file in lost:
        dangle(file)
    (root / "sub-05").mkdir()
    assert main(["prepare", "bids", str(root), str(tmp_path / "store"), "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [error.partition(": not downloaded, it is a link to ../../.git/annex")[0] for error in found["errors"]] == [
        str(file) for file in lost
    ]
    assert [(row["what"], row["recording"][:6]) for row in found["dropped"]] == [
        ("recording", "sub-01"),
        ("recording", "sub-02"),
        ("recording", "sub-03"),
    ]
    assert f"{root / 'sub-05'}: is empty; if it is a DataLad subdataset" in captured.err
    assert [r.subject for r in Store(tmp_path / "store").recordings] == ["04"]


def test_a_description_that_was_not_downloaded_is_not_taken_for_none(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    dangle(root / "dataset_description.json")
    with pytest.raises(DataError, match=r"dataset_description\.json: not downloaded"):
        Bids(root).description()


def test_the_format_that_was_downloaded_is_read(tmp_path):
    root = write_bids(tmp_path / "bids", ONE, suffix=".edf")
    write_recording(beside(root, "eeg.vhdr"), volts())
    for end in ("vhdr", "eeg", "vmrk"):
        dangle(beside(root, f"eeg.{end}"))
    (source,) = Bids(root).sources()
    assert source.inputs[0].suffix == ".edf"
    assert source.load().eeg.shape == (6, 1000)


def test_everything_that_a_recording_is_read_from_is_an_input(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    shutil.move(beside(root, "channels.tsv"), root / "task-listening_channels.tsv")
    write_tsv(beside(root, "space-CapTrak_electrodes.tsv"), [{"name": "Cz", "x": 0, "y": 0, "z": 0.1}])
    (root / "coordsystem.json").write_text('{"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}')
    (source,) = Bids(root).sources()
    paths = (file.relative_to(root).as_posix() for file in source.inputs)
    assert [path.removeprefix("sub-01/eeg/sub-01_task-listening_") for path in paths] == [
        "run-1_eeg.vhdr",
        "run-1_eeg.eeg",
        "run-1_eeg.vmrk",
        "task-listening_channels.tsv",
        "run-1_events.tsv",
        "run-1_space-CapTrak_electrodes.tsv",
        "coordsystem.json",
        "stimuli/b.wav",
        "stimuli/story/a.wav",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["channels.tsv", "events.tsv", "electrodes.tsv", "coordsystem.json"])
def test_a_table_that_comes_or_goes_at_any_level_is_noticed(tmp_path, name):
    root = write_bids(tmp_path / "bids", ONE)
    for end in ("channels.tsv", "events.tsv"):
        shutil.move(beside(root, end), root / f"task-listening_{end}")
    write_tsv(root / "electrodes.tsv", [{"name": "Cz", "x": 0, "y": 0, "z": 0.1}])
    (root / "coordsystem.json").write_text('{"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}')

    def prepare():
        return prepare_sources(Bids(root).sources(), tmp_path / "store", Bids(root).description(), root=root).again

    above = root / (name if name.startswith(("el", "co")) else f"task-listening_{name}")
    prepare()
    shutil.copy(above, beside(root, name))
    assert list(prepare().values()) == [[f"sub-01/eeg/{beside(root, name).name} is new"]]
    beside(root, name).unlink()
    (changed,) = prepare().values()
    assert changed[-1] == f"sub-01/eeg/{beside(root, name).name} is gone"
    assert prepare() == {}


def test_sessions_splits_formats_and_oddly_named_files(tmp_path):
    root = tmp_path / "bids"
    folder = root / "sub-Ä1" / "ses-02" / "eeg"
    name = "sub-Ä1_ses-02_task-x_acq-hi:fi_eeg"
    write_recording(folder / f"{name}.edf", volts())
    write_recording(folder / f"{name}.fif", volts())
    for odd in ("._sub-Ä1_task-x_eeg.edf", "sub-Ä1_task-x-y_z_eeg.txt", "notes_eeg.edf", "eeg.edf"):
        (folder / odd).write_text("")
    write_recording(root / "derivatives" / "sub-01" / "eeg" / "sub-01_task-x_eeg.edf", volts())
    (source,) = Bids(root).sources()
    assert source.recording == "sub-Ä1_ses-02_task-x_acq-hi-fi"
    assert (source.subject, source.session) == ("Ä1", "02")
    assert source.load().eeg.shape == (6, 1000)


def test_split_recordings_are_one(tmp_path):
    folder = tmp_path / "bids" / "sub-01" / "meg"
    folder.mkdir(parents=True)
    eeg = volts(20, 60_000) * 1e-6
    info = mne.create_info([f"MEG{i}" for i in range(20)], 1000.0, "mag")
    raw = mne.io.RawArray(eeg, info, verbose="ERROR")
    raw.save(folder / "sub-01_task-x_meg.fif", split_size="2MB", split_naming="bids", verbose="ERROR")
    assert len(list(folder.glob("*_split-*"))) > 2
    (source,) = Bids(tmp_path / "bids").sources()
    assert source.recording == "sub-01_task-x"
    assert len(source.inputs) == len(list(folder.glob("*_split-*")))
    read = source.load()
    assert {channel.type for channel in read.channels} == {"mag"}
    np.testing.assert_allclose(read.eeg[EVERYTHING], eeg, rtol=1e-5, atol=1e-16)
    (folder / "sub-01_task-x_split-01_meg.fif").unlink()
    with pytest.raises(DataError, match="holds no recording"):
        Bids(tmp_path / "bids").sources()


def test_intracranial_electrodes_keep_their_coordinates(tmp_path):
    folder = tmp_path / "bids" / "sub-01" / "ieeg"
    write_recording(folder / "sub-01_task-x_ieeg.edf", volts(3), ("LA1", "LA2", "EKG"))
    rows = [{"name": name, "type": kind} for name, kind in (("LA1", "SEEG"), ("LA2", "ECOG"), ("EKG", "ECG"))]
    write_tsv(folder / "sub-01_task-x_channels.tsv", rows)
    write_tsv(folder / "sub-01_electrodes.tsv", [{"name": "LA1", "x": -30, "y": -10, "z": 20}])
    said = {"iEEGCoordinateSystem": "ACPC", "iEEGCoordinateUnits": "mm"}
    (folder / "sub-01_coordsystem.json").write_text(json.dumps(said))
    raw = load(tmp_path / "bids")
    assert [(c.name, c.type) for c in raw.channels] == [("LA1", "seeg"), ("LA2", "ecog")]
    assert place(raw, "LA1") == pytest.approx((-0.03, -0.01, 0.02))
    assert np.isnan(place(raw, "LA2")).all()


def test_two_kinds_of_recordings_have_to_be_chosen_from(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    write_recording(root / "sub-01" / "ieeg" / "sub-01_task-x_ieeg.edf", volts(3), ("LA1", "LA2", "LA3"))
    with pytest.raises(DataError, match="holds eeg and ieeg; choose one with datatype"):
        Bids(root).sources()
    assert len(Bids(root, datatype="eeg").sources()) == 1


def test_recordings_may_differ_in_rate(tmp_path):
    root = write_bids(tmp_path / "bids", ("01", "02"))
    write_recording(beside(root, "eeg.vhdr"), volts(samples=5000), rate=500.0)
    reader = Bids(root)
    assert not prepare_sources(reader.sources(), tmp_path / "store", reader.description()).errors
    assert {recording.samples for recording in Store(tmp_path / "store").recordings} == {1000}


def test_rules_replace_stim_files_and_know_columns_and_entities(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    write_sound(root / "stimuli" / "run1.wav", 20.0)
    rules = [
        SoundRule(event="^pause$", condition="rest", duration=0.25, label="{trial_type}"),
        SoundRule(match=r"_run-(?P<n>\d)", event="heard", sound="stimuli/run{n}.wav", offset="{onset}", text="{task}"),
    ]
    raw = load(root, sounds=rules)
    assert [(s.onset, s.duration, s.stimulus, s.offset, s.condition, s.label, s.text) for s in raw.segments] == [
        (1.0, 3.0, "run1", 1.0, "listening", "", "listening"),
        (4.5, 0.25, "", 0.0, "rest", "pause", ""),
        (5.0, 5.0, "run1", 5.0, "listening", "", "listening"),
    ]
    assert "run1.wav" in {file.name for file in Bids(root, sounds=rules).sources()[0].inputs}


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    return write_bids(tmp_path_factory.mktemp("run") / "bids", ONE)


cells = st.one_of(
    st.floats().map(str),
    st.floats(-1, 12).map(str),
    st.sampled_from(["n/a", "0", "", "1e3", "b.wav", "story/a.wav", "../b.wav", "bids::stimuli/b.wav"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
)


@settings(max_examples=100)
@given(st.lists(st.tuples(cells, cells, cells), max_size=4))
def test_any_events_give_segments_inside_the_recording_or_a_clear_error(one_run, rows):
    lines = ["onset\tduration\tstim_file", *("\t".join(row) for row in rows)]
    beside(one_run, "events.tsv").write_text("\n".join(lines), encoding="utf-8")
    (source,) = Bids(one_run).sources()
    raw, error = outcome(source)
    if raw is None:
        assert "events.tsv" in error
        assert "\n" not in error
        return
    lengths = {"story_a": 3.0, "b": 2.0, "": 10.0}
    for segment in raw.segments:
        assert segment.onset >= 0
        assert segment.duration > 0
        assert segment.onset + segment.duration <= 10 + 1e-9
        assert segment.offset + segment.duration <= lengths[segment.stimulus] + 1e-9


@pytest.fixture(scope="module")
def every_format(tmp_path_factory):
    return {
        suffix: write_bids(tmp_path_factory.mktemp("cut") / f"bids{suffix}", ONE, suffix=suffix) for suffix in FORMATS
    }


@settings(max_examples=40)
@given(st.sampled_from(FORMATS), st.floats(0, 1), st.booleans())
def test_files_cut_short_are_read_or_refused(every_format, suffix, share, head):
    whole = every_format[suffix]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bids"
        shutil.copytree(whole, root)
        file = beside(root, f"eeg{suffix}")
        file = file.with_suffix(".eeg") if suffix == ".vhdr" and not head else file
        size = file.stat().st_size
        os.truncate(file, int(share * min(size, 2000) if head else share * size))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (source,) = Bids(root).sources()
            raw, error = outcome(source)
            assert raw is not None or source.recording in error


@pytest.mark.parametrize("suffix", FORMATS)
def test_channels_are_those_that_mne_bids_finds(tmp_path, suffix):
    mne_bids = pytest.importorskip("mne_bids")
    root = write_bids(tmp_path / "bids", ONE, suffix=suffix)
    write_tsv(beside(root, "channels.tsv"), channels(Cz={"status": "bad"}))
    raw = load(root)
    path = mne_bids.BIDSPath(
        subject="01", task="listening", run="1", datatype="eeg", suffix="eeg", root=root, extension=suffix
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mne_bids.read_raw_bids(path, verbose="ERROR")
    picks = [
        name
        for name, kind in zip(expected.ch_names, expected.get_channel_types(), strict=True)
        if kind in ("eeg", "eog")
    ]
    assert [channel.name for channel in raw.channels] == picks
    assert [channel.name for channel in raw.channels if channel.status == "bad"] == expected.info["bads"]
    np.testing.assert_array_equal(raw.eeg[EVERYTHING], expected.get_data(picks))


@pytest.mark.real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_published_brainvision_recording_is_read():
    (source,) = Bids(Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "formats" / "tiny_bids").sources()
    assert source.recording == "sub-01_ses-eeg_task-rest"
    assert (source.subject, source.session) == ("01", "eeg")
    raw = source.load()
    assert Counter(channel.type for channel in raw.channels) == {"eeg": 64, "eog": 2}
    assert raw.eeg.shape == (66, 10_000)
    assert raw.rate == 5000
    assert [channel.name for channel in raw.channels if channel.status == "bad"] == ["PO10"]
    assert place(raw, "Fp1") == pytest.approx((-0.0374127, 0.1110214, 0.0498709), abs=1e-6)
    assert all(np.isfinite(channel.z) for channel in raw.channels if channel.type == "eeg")
    assert (raw.segments[0].duration, raw.segments[0].condition) == (2.0, "rest")


def write_doubled(root, *types):
    """A recording with two channels called ``-``, and a table with a row for each of the types given."""
    folder = root / "sub-01" / "eeg"
    file = write_recording(folder / "sub-01_task-x_eeg.edf", volts(3), ("Cz", "D1", "D2"))
    content = file.read_bytes()
    file.write_bytes(content.replace(b"D1".ljust(16), b"-".ljust(16), 1).replace(b"D2".ljust(16), b"-".ljust(16), 1))
    rows = [{"name": "Cz", "type": "EEG"}, *({"name": "-", "type": kind} for kind in types)]
    write_tsv(folder / "sub-01_task-x_channels.tsv", rows)
    return root


@pytest.mark.parametrize(("types", "taken"), [(["MISC"], [0]), (["MISC", "MISC"], [0]), (["MISC", "EEG"], [0, 2])])
def test_doubled_names_of_channels_that_are_not_taken_do_no_harm(tmp_path, types, taken):
    raw = load(write_doubled(tmp_path, *types))
    np.testing.assert_allclose(raw.eeg[EVERYTHING], volts(3)[taken], atol=3e-9)


@pytest.mark.parametrize(
    ("types", "message"),
    [(["EEG"], "channel name '-' occurs more than once"), (["MISC"] * 3, "line 4: channel '-' occurs twice")],
)
def test_doubled_names_of_electrodes_are_refused(tmp_path, types, message):
    with pytest.raises(DataError, match=message):
        load(write_doubled(tmp_path, *types))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sub-02_task-x_ieeg.nwb", "format .nwb is not supported; convert it to one of"),
        ("sub-02_task-x_ieeg.bdf.gz", "format .bdf.gz is not supported"),
        ("sub-02_task-x_ieeg", "a recording without a suffix (4D/BTi?) is not supported"),
        ("sub-02_task-x_ieeg.eeg", "its header, sub-02_task-x_ieeg.vhdr, is missing"),
        ("sub-02_task-x_ieeg.fdt", "its header, sub-02_task-x_ieeg.set, is missing"),
    ],
)
def test_a_recording_that_is_not_read_is_no_silence(tmp_path, name, message):
    write_recording(tmp_path / "sub-01" / "ieeg" / "sub-01_task-x_ieeg.edf", volts())
    file = tmp_path / "sub-02" / "ieeg" / name
    file.parent.mkdir(parents=True)
    file.touch()
    first, second = Bids(tmp_path).sources()
    assert (first.recording, second.recording) == ("sub-01_task-x", "sub-02_task-x")
    with pytest.raises(DataError, match=re.escape(message)):
        second.load()


def test_landmarks_that_are_not_known_leave_the_positions_as_they_are(tmp_path):
    root = write_bids(tmp_path / "bids", ONE)
    places = [{"name": name, "x": 0.01 * k, "y": 0.02, "z": 0.09} for k, name in enumerate(NAMES)]
    write_tsv(beside(root, "electrodes.tsv"), places)
    for marks in ("n/a", {"NAS": "n/a", "LPA": "n/a", "RPA": "n/a"}, {"NAS": ["n/a", "n/a", "n/a"]}, None, []):
        said = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m", "AnatomicalLandmarkCoordinates": marks}
        beside(root, "coordsystem.json").write_text(json.dumps(said))
        assert load(root).channels[3].x == pytest.approx(0.03)
