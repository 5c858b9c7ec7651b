"""Recordings with pauses, from the files of each format to the store."""

from __future__ import annotations

import mne
import numpy as np
import pytest
import scipy.io

from eeg2speech.data.prepare import prepare_sources
from eeg2speech.data.prepared import PAUSE, UNRECORDED
from eeg2speech.data.preprocess import Preprocessing
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.files import Files
from eeg2speech.data.readers.sound_rules import SoundRule
from eeg2speech.data.store import Dropped, Store
from eeg2speech.data.tables import read_table
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
    assert store.pieces(store.recordings[0]) == [(0, 2000), (2000, 4000)]
    assert dropped(store) == {UNRECORDED: 5.0 + 2.0}
    assert any("S1: interrupted 1 times" in text for text in warnings)


def test_onsets_of_a_table_are_on_the_clock_of_the_file(tmp_path, root):
    folder = tmp_path / "bids" / "sub-01" / "eeg"
    write_sound(tmp_path / "bids" / "stimuli" / "a.wav", 10.0)
    write_edf(folder / "sub-01_task-x_eeg.edf", eeg(26.0), RATE, NAMES, "EDF+D", PAUSED)
    write_tsv(folder / "sub-01_task-x_events.tsv", [{"onset": 30, "duration": 8, "stim_file": "a.wav"}])
    store, warnings = prepared(tmp_path, Bids(tmp_path / "bids"))
    assert in_sounds(store) == [("a", 1.0)]
    assert any("onsets of its events are taken for times on its clock" in text for text in warnings)


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
    assert dropped(silent) == {}


def test_nothing_of_a_skip_is_in_segments_nor_filtered_with_the_rest(tmp_path, root):
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
    assert store.pieces(store.recordings[0]) == [(0, 2000), (2400, 4000)]
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
    ]
    write_tsv(folder / "sub-01_task-x_events.tsv", rows)
    store, _ = prepared(tmp_path, Bids(tmp_path / "bids"))
    assert store.pieces(store.recordings[0]) == [(0, 1000), (1200, 2000), (2000, 4000)]


def test_signals_of_several_rates_stay_in_their_place(tmp_path, root, monkeypatch):
    """Read in parts, mne takes other samples of the slower signals."""
    from edfio import Edf, EdfSignal

    monkeypatch.setattr("eeg2speech.data.spool.READ", 10_000)
    slow = [EdfSignal(row, 128, label=name, physical_range=(-200, 200), physical_dimension="uV")
            for name, row in zip(NAMES, eeg(3.0, 17.25, 39.0, rate=128), strict=True)]  # fmt: skip
    fast = EdfSignal(np.random.default_rng(1).normal(0, 9, 40 * 512), 512, label="EMG", physical_range=(-200, 200))
    Edf([*slow, fast]).write(root / "S1.edf")
    store, _ = prepared(tmp_path, Files(root, leave_out=["EMG"]))
    assert bumps(store) == pytest.approx([3.0, 17.25, 39.0], abs=0.006)
