"""Recordings with pauses, from the files of each format to the store."""

from __future__ import annotations

import mne
import numpy as np
import pytest
import scipy.io

from eeg2speech.core.tables import read_table
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.files import Files
from eeg2speech.data.store.store import Dropped, Store
from eeg2speech.data.timing import PAUSE, UNRECORDED
from tests.data.readers.bids_files import write_recording, write_sound, write_tsv
from tests.data.readers.edf_files import write_edf

RATE, NAMES = 250, ["Fz", "Cz", "Pz", "Oz"]
PAUSED = [f"{second + 5 * (second >= 20)}" for second in range(40)]
"""Times of records: 5 s are missing after 20 s."""
SOUNDS = [SoundRule(event="^(a|b)$", sound="{trial_type}.wav")]


def eeg(*bumps, seconds=40, rate=RATE):
    """Noise of some microvolts with a bump of 30 ms around each time, in seconds of samples."""
    time = np.arange(seconds * rate) / rate
    noise = np.random.default_rng(0).normal(0, 0.5, (len(NAMES), len(time)))
    return noise + sum(100 * np.exp(-0.5 * ((time - at) / 0.03) ** 2) for at in bumps)


def prepared(tmp_path, reader):
    settings = Preprocessing(reference="none", deviation=None)
    summary = prepare_sources(reader.sources(), tmp_path / "store", reader.description(), settings)
    assert summary.errors == []
    return Store(tmp_path / "store"), [notice.text for notice in summary.notices]


def bumps(store):
    """Seconds of the bumps in a store's only recording."""
    signal = store.eeg(store.recordings[0])[0]
    over = np.flatnonzero((signal[1:-1] > 30) & (signal[1:-1] >= signal[:-2]) & (signal[1:-1] > signal[2:])) + 1
    return over / store.rate


def in_sounds(store):
    """Stimulus and time in it of each bump that lies in a segment."""
    return [
        (segment.stimulus, pytest.approx(at - segment.onset + segment.offset, abs=0.006))
        for at in bumps(store)
        for segment in store.segments
        if segment.onset <= at < segment.onset + segment.duration
    ]


def dropped(store):
    return {row.reason: round(row.seconds, 3) for row in read_table(store.root / "dropped.tsv", Dropped)}


@pytest.fixture
def root(tmp_path):
    for pitch, name in enumerate("ab", start=3):
        write_sound(tmp_path / "raw" / f"{name}.wav", 15.0, 100.0 * pitch)
    return tmp_path / "raw"


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_sounds_go_on_behind_a_pause_that_the_file_tells(tmp_path, root, suffix):
    """A sound from 10 to 25 s of the clock, paused from 20 to 25 s; another one from 23 to 38 s."""
    notes = [(10.0, 0.0, "a"), (23.0, 0.0, "b")]
    signal = eeg(12.0, 19.0, 21.0, 30.0)  # on the clock: 12, 19, 26 and 35
    write_edf(root / f"S1{suffix}", signal, RATE, NAMES, f"{suffix[1:].upper()}+D", PAUSED, notes)
    store, warnings = prepared(tmp_path, Files(root, sounds=SOUNDS))
    assert [(s.stimulus, s.onset, s.duration, s.offset) for s in store.segments] == [
        ("a", pytest.approx(10.0), pytest.approx(10.0), 0.0),
        ("b", pytest.approx(20.0), pytest.approx(13.0), pytest.approx(2.0)),
    ]
    assert in_sounds(store) == [("a", 2.0), ("a", 9.0), ("b", 3.0), ("b", 12.0)]
    assert store.blocks(store.recordings[0]) == [(0, 2000), (2000, 4000)]
    assert dropped(store) == {UNRECORDED: 5.0 + 2.0}
    assert any("S1: interrupted 1 times" in text for text in warnings)


def test_onsets_of_a_table_are_on_the_clock_of_the_file(tmp_path, root):
    folder = tmp_path / "bids" / "sub-01" / "eeg"
    write_sound(tmp_path / "bids" / "stimuli" / "a.wav", 10.0)
    write_edf(folder / "sub-01_task-x_eeg.edf", eeg(26.0), RATE, NAMES, "EDF+D", PAUSED)
    write_tsv(folder / "sub-01_task-x_events.tsv", [{"onset": 30, "duration": 8, "stim_file": "a.wav"}])
    store, warnings = prepared(tmp_path, Bids(tmp_path / "bids"))
    assert in_sounds(store) == [("a", 1.0)]
    assert any("onsets of its events are treated as times on its clock" in text for text in warnings)


def test_sounds_go_on_behind_what_eeglab_cut_out(tmp_path, root):
    locations = np.array([(name,) for name in NAMES], dtype=[("labels", object)])
    events = [("a", 10 * RATE + 1.0, 0.0), ("boundary", 20 * RATE + 0.5, 2.0 * RATE), ("b", 30 * RATE + 1.0, 0.0)]
    events = np.array(events, dtype=[("type", object), ("latency", object), ("duration", object)])
    signal = eeg(19.0, 21.0, 31.0)
    content = {
        "setname": "", "nbchan": 4.0, "trials": 1.0, "pnts": float(signal.shape[1]), "srate": float(RATE), "xmin": 0.0,
        "xmax": 40.0, "data": signal.astype("f4"), "chanlocs": locations, "event": events, "epoch": [],
        "icawinv": [], "icasphere": [], "icaweights": [],
    }  # fmt: skip
    scipy.io.savemat(root / "S1.set", {"EEG": content}, appendmat=False)
    store, _ = prepared(tmp_path, Files(root, sounds=SOUNDS))
    assert in_sounds(store) == [("a", 9.0), ("a", 13.0), ("b", 1.0)]
    assert [s.onset for s in store.segments] == pytest.approx([10.0, 20.0, 30.0])
    assert [s.duration for s in store.segments] == pytest.approx([10.0, 3.0, 10.0])


@pytest.mark.parametrize("suffix", [".vhdr", ".bdf", ".fif"])
def test_sounds_end_at_a_pause_of_unknown_length(tmp_path, root, suffix):
    signal, file = eeg(19.0, 21.0, 31.0), root / f"S1{suffix}"
    if suffix == ".bdf":
        status = np.zeros(40 * RATE, int)
        status[[0, 20 * RATE]] = 1 << 16
        write_edf(file, signal, RATE, NAMES, "24BIT", status=status)
    elif suffix == ".fif":
        info = mne.create_info(NAMES, RATE, "eeg")
        parts = [mne.io.RawArray(part * 1e-6, info, verbose="ERROR") for part in np.split(signal, 2, axis=1)]
        mne.concatenate_raws(parts, verbose="ERROR").save(file, verbose="ERROR")
    else:
        write_recording(file, signal * 1e-6, NAMES, RATE)
        marks = "Mk1=New Segment,,1,1,0,20250101100000000000", "Mk2=New Segment,,5001,1,0,20250101100025000000"
        file.with_suffix(".vmrk").write_text(file.with_suffix(".vmrk").read_text() + "\n".join(("", *marks, "")))
    rule = SoundRule(sound="a.wav", onset=10.0)
    store, _ = prepared(tmp_path, Files(root, sounds=[rule]))
    assert in_sounds(store) == [("a", 9.0)]
    assert [(s.onset, s.duration) for s in store.segments] == [pytest.approx((10.0, 10.0))]
    assert dropped(store) == {PAUSE: 5.0}
    silent, _ = prepared(tmp_path / "silent", Files(root))
    assert [(s.onset, s.duration) for s in silent.segments] == [pytest.approx((0, 20)), pytest.approx((20, 20))]
    assert not dropped(silent).keys() & {PAUSE, UNRECORDED}


def test_a_skip_is_in_no_segment_nor_filtered_with_others(tmp_path, root):
    signal = eeg(19.0, 25.0)
    signal += 3000.0  # which would jump to zero and back
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations([20.0], [4.0], ["BAD_ACQ_SKIP"]))
    raw.save(root / "S1_raw.fif", verbose="ERROR")
    rule = SoundRule(sound="a.wav", onset=10.0)
    store, _ = prepared(tmp_path, Files(root, sounds=[rule], pattern=r"(?P<subject>S1)"))
    assert [(s.onset, s.duration, s.offset) for s in store.segments] == [
        pytest.approx((10.0, 10.0, 0.0)), pytest.approx((24.0, 1.0, 14.0)),
    ]  # fmt: skip
    assert store.blocks(store.recordings[0]) == [(0, 2000), (2400, 4000)]
    prepared_eeg = store.eeg(store.recordings[0])
    assert not prepared_eeg[:, 2000:2400].any()
    quiet = np.r_[1905:2000, 2400:2490]
    assert np.abs(prepared_eeg[:, quiet]).max() < 20
    assert dropped(store) == {UNRECORDED: 4.0}


def test_tables_name_interruptions_that_a_format_cannot(tmp_path, root):
    folder = tmp_path / "bids" / "sub-01" / "eeg"
    write_recording(folder / "sub-01_task-x_eeg.vhdr", eeg(5.0) * 1e-6, NAMES, RATE)
    rows = [
        {"onset": 10, "duration": 2, "trial_type": "BAD_ACQ_SKIP"},
        {"onset": 20, "duration": 0, "trial_type": "EDGE boundary"},
        {"onset": 30, "duration": 1, "trial_type": "boundary"},  # of a phrase, perhaps
        {"onset": 20, "duration": 0, "trial_type": "boundary"},  # known already
    ]
    write_tsv(folder / "sub-01_task-x_events.tsv", rows)
    store, warnings = prepared(tmp_path, Bids(tmp_path / "bids"))
    assert store.blocks(store.recordings[0]) == [(0, 1000), (1200, 2000), (2000, 4000)]
    assert any("interrupted 2 times" in text for text in warnings)  # a skip is one, though it has two edges
    (said,) = [text for text in warnings if "are not treated as interruptions" in text]
    assert "events.tsv: 1 rows 'boundary' are not treated" in said


def test_signals_of_several_rates_stay_in_their_place(tmp_path, root, monkeypatch):
    """Read in parts, mne takes other samples of the slower signals."""
    from edfio import Edf, EdfSignal

    monkeypatch.setattr("eeg2speech.data.preparation.decimation.READ", 10_000)
    slow = [EdfSignal(row, 128, label=name, physical_range=(-200, 200), physical_dimension="uV")
            for name, row in zip(NAMES, eeg(3.0, 17.25, 39.0, rate=128), strict=True)]  # fmt: skip
    fast = EdfSignal(np.random.default_rng(1).normal(0, 9, 40 * 512), 512, label="EMG", physical_range=(-200, 200))
    Edf([*slow, fast]).write(root / "S1.edf")
    store, _ = prepared(tmp_path, Files(root, leave_out=["EMG"]))
    assert bumps(store) == pytest.approx([3.0, 17.25, 39.0], abs=0.006)


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_annotations_behind_the_length_of_the_samples_are_found(tmp_path, root, suffix):
    """The clock ends at 140 s, the samples at 40 s: mne leaves out what lies between them."""
    times = [f"{second + 100 * (second >= 20)}" for second in range(40)]
    notes = [(5.0, 0.0, "a"), (125.0, 12.0, "b"), (141.0, 0.0, "a")]
    write_edf(root / f"S1{suffix}", eeg(6.0, 27.0), RATE, NAMES, f"{suffix[1:].upper()}+D", times, notes)
    store, _ = prepared(tmp_path, Files(root, sounds=SOUNDS))
    assert in_sounds(store) == [("a", 1.0), ("b", 2.0)]
    assert [s.duration for s in store.segments] == pytest.approx([15.0, 12.0])


def test_triggers_and_annotations_behind_a_pause_are_one_event(tmp_path, root):
    status = np.zeros(40 * RATE, int)
    for second in (5, 25):
        status[second * RATE : second * RATE + 5] = 65
    notes = [(5.0, 0.0, "stim 65"), (30.0, 0.0, "stim 65")]
    write_edf(root / "S1.edf", eeg(26.0), RATE, NAMES, "EDF+D", PAUSED, notes, status=status)
    rule = SoundRule(event="65$", sound="a.wav", duration=5.0)
    store, _ = prepared(tmp_path, Files(root, sounds=[rule]))
    assert [(s.onset, s.duration) for s in store.segments] == [pytest.approx((5, 5)), pytest.approx((25, 5))]
    assert in_sounds(store) == [("a", 1.0)]


@pytest.mark.parametrize(("onset", "delay"), [(2.0, 0.0), (0.0, 2.0), (1.5, 0.5)])
def test_a_delay_passes_while_nothing_is_recorded(tmp_path, root, onset, delay):
    """Marked 1 s before 3 s are cut out, heard 2 s later: the first sample behind the cut has 2 s of the sound."""
    raw = mne.io.RawArray(eeg(21.0) * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations([19.0, 20.0], [0.0, 3.0], ["a", "boundary"]))
    raw.save(root / "S1_raw.fif", verbose="ERROR")
    rule = SoundRule(event="^a$", sound="a.wav", onset=onset)
    store, _ = prepared(tmp_path, Files(root, sounds=[rule], onset=delay))
    assert [(s.onset, s.duration, s.offset) for s in store.segments] == [pytest.approx((20.0, 13.0, 2.0))]
    assert in_sounds(store) == [("a", 3.0)]


def test_a_delay_over_an_unknown_pause_leaves_its_segment_out(tmp_path, root):
    raw = mne.io.RawArray(eeg() * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations([5.0, 19.0, 20.0], [0.0] * 3, ["a", "a", "BAD boundary"]))
    raw.save(root / "S1_raw.fif", verbose="ERROR")
    rule = SoundRule(event="^a$", sound="a.wav", onset=2.0, duration=5.0)
    store, warnings = prepared(tmp_path, Files(root, sounds=[rule]))
    assert [(s.onset, s.duration) for s in store.segments] == [pytest.approx((7.0, 5.0))]
    (row,) = read_table(store.root / "dropped.tsv", Dropped)
    assert (row.reason, row.name) == ("the onset is counted from before a pause of unknown length", "1 segments")
    assert any("1 segments begin behind a pause of unknown length" in text for text in warnings)


def test_marks_of_one_sample_have_no_duration(tmp_path, root):
    """Markers of BrainVision are one sample long; what they mark is not."""
    write_recording(root / "S1.vhdr", eeg(12.0) * 1e-6, NAMES, RATE)
    marks = root / "S1.vmrk"
    marks.write_text(marks.read_text() + "\nMk1=Comment,a,2501,1,0\nMk2=Comment,b,7501,500,0\n")
    rules = [SoundRule(event="a$", sound="a.wav"), SoundRule(event="b$", sound="b.wav")]
    store, _ = prepared(tmp_path, Files(root, sounds=rules))
    assert [(s.onset, s.duration) for s in store.segments] == [pytest.approx((10.0, 15.0)), pytest.approx((30.0, 2.0))]


def test_rows_of_one_sample_have_no_duration(tmp_path):
    folder = tmp_path / "bids" / "sub-01" / "eeg"
    write_sound(tmp_path / "bids" / "stimuli" / "a.wav", 10.0)
    write_recording(folder / "sub-01_task-x_eeg.vhdr", eeg() * 1e-6, NAMES, RATE)
    rows = [{"onset": 5, "duration": 0.004, "stim_file": "a.wav"}, {"onset": 20, "duration": 2, "stim_file": "a.wav"}]
    write_tsv(folder / "sub-01_task-x_events.tsv", rows)
    store, _ = prepared(tmp_path, Bids(tmp_path / "bids"))
    assert [(s.onset, s.duration) for s in store.segments] == [pytest.approx((5.0, 10.0)), pytest.approx((20.0, 2.0))]
