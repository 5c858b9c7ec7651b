from __future__ import annotations

import logging
import math

import mne
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.discontinuities import discontinuities
from eeg2speech.data.files.edf_records import annotations_of
from eeg2speech.data.files.raw import from_mne
from tests.data.readers.bids_files import write_recording
from tests.data.readers.edf_files import write_edf

RATE = 100


def raw_of(samples=1000, kind=mne.io.RawArray):
    eeg = np.random.default_rng(0).normal(0, 1e-5, (2, samples))
    return kind(eeg, mne.create_info(["Cz", "Pz"], RATE, "eeg"), verbose="ERROR")


def annotated(*notes, kind=mne.io.RawArray, crop=0.0, date=None):
    raw = raw_of(kind=kind)
    raw.set_meas_date(date)
    onsets, durations, texts = zip(*notes, strict=True)
    raw.set_annotations(mne.Annotations(onsets, durations, texts))
    return raw.crop(crop, None)


def named(name):
    """A class of recordings that mne's reader of some format makes."""
    return type(name, (mne.io.RawArray,), {})


@pytest.mark.parametrize(
    ("kind", "note", "at", "unrecorded"),
    [
        ("RawArray", (3.0, 0.0, "EDGE boundary"), 300, None),
        ("RawArray", (3.0, 0.0, "BAD boundary"), 300, None),
        ("RawArray", (3.0, 0.0, "edge Boundary"), 300, None),
        ("RawBrainVision", (3.0, 0.01, "New Segment/"), 300, None),
        ("RawBrainVision", (3.0, 0.01, "Comment/EDGE boundary"), 300, None),
        ("RawBrainVision", (0.0, 0.01, "New Segment/"), None, None),
        ("RawEEGLAB", (2.995, 6.25, "boundary"), 300, 6.25),
        ("RawEEGLAB", (3.0, 6.25, "Boundary"), 300, 6.25),
        ("RawEEGLAB", (2.995, 60.0, "boundary"), 300, None),  # mne limits it to the data
        ("RawEEGLAB", (2.995, 0.0, "boundary"), 300, None),
        ("RawEEGLAB", (2.995, math.nan, "boundary"), 300, None),
        ("RawEEGLAB", (2.995, 1.5, "-99"), 300, 1.5),
        ("RawEEGLAB", (2.995, 1.5, "-99.0"), 300, 1.5),
        ("RawEEGLAB", (-0.005, 1.5, "boundary"), None, None),
        ("RawEEGLAB", (0.0, 1.5, "boundary"), None, None),
        ("RawEEGLAB", (9.995, 1.5, "boundary"), None, None),
        ("RawEEGLAB", (2.995, 0.01, "boundary"), 300, 0.01),
        ("RawArray", (2.995, 1.5, "boundary"), 300, 1.5),
        ("RawBrainVision", (3.0, 0.01, "Comment/boundary"), 300, None),
        ("RawArray", (3.0, 1.5, "-99"), None, None),
        ("RawArray", (3.0, 1.5, "phrase boundary"), None, None),
        ("RawGDF", (3.0, 0.0, "32766"), 300, None),
        ("RawANT", (3.0, 0.0, "Amplifier disconnected"), 300, None),
        ("RawArray", (3.0, 0.0, "BAD_ACQ_SKIP"), 300, None),
        ("RawArray", (3.0, 2.0, "BAD_blink"), None, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Omitted", "ignore:Limited")
def test_what_each_format_calls_an_interruption(kind, note, at, unrecorded):
    found = discontinuities(annotated(note, kind=named(kind)))
    assert found.breaks == ([] if at is None else [at])
    assert found.unrecorded == ({} if unrecorded is None else {at: unrecorded})
    assert found.gaps == []
    assert not found.clocked


@pytest.mark.parametrize("date", [None, 1.6e9])
@pytest.mark.parametrize("crop", [0.0, 1.5, 3.5])
def test_a_skip_has_both_ends_also_in_cropped_recordings(date, crop):
    raw = annotated((3.0, 2.0, "BAD_ACQ_SKIP"), (5.0, 1.0, "bad_acq_skip"), (8.0, 1.0, "x"), crop=crop, date=date)
    found = discontinuities(raw)
    first, stop = max(300 - round(100 * crop), 0), 600 - round(100 * crop)
    assert found.gaps == [(first, stop)]
    assert found.breaks == ([first, stop] if first else [stop])
    assert found.unrecorded == {}


def test_skips_of_a_file_are_gaps_of_the_recording(tmp_path):
    raw = annotated((3.0, 2.0, "BAD_ACQ_SKIP"))
    raw.save(tmp_path / "r_raw.fif", verbose="ERROR")
    read = from_mne(mne.io.read_raw_fif(tmp_path / "r_raw.fif", verbose="ERROR"), lazily=True)
    assert read.breaks == [300, 500]
    assert read.gaps == [(300, 500)]
    assert not read.eeg[:, 300:500].any()
    assert read.eeg[:, 299:300].any()
    assert read.eeg[:, 500:501].any()


def test_concatenated_recordings_break_at_the_first_sample_of_the_next():
    raw = mne.concatenate_raws([raw_of(400), raw_of(300), raw_of(300)], verbose="ERROR")
    assert discontinuities(raw).breaks == [400, 700]
    assert discontinuities(raw.crop(2.0, None)).breaks == [200, 500]


def test_boundaries_of_an_eeglab_file_say_how_much_was_cut_out(tmp_path):
    locations = np.array([("Cz",), ("Pz",)], dtype=[("labels", object)])
    events = [
        ("boundary", 300.5, 250.0),
        ("word", 400.0, 0.0),
        ("boundary", 600.5, np.nan),
        ("boundary", 900.5, 5000.0),
    ]
    events = np.array(events, dtype=[("type", object), ("latency", object), ("duration", object)])
    eeg = {
        "setname": "", "nbchan": 2.0, "trials": 1.0, "pnts": 1000.0, "srate": 100.0, "xmin": 0.0, "xmax": 9.99,
        "data": raw_of().get_data().astype("f4"), "chanlocs": locations, "event": events, "epoch": [],
        "icawinv": [], "icasphere": [], "icaweights": [],
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "r.set", {"EEG": eeg}, appendmat=False)
    raw = mne.io.read_raw_eeglab(tmp_path / "r.set", verbose="ERROR")
    found = discontinuities(raw)
    assert found.breaks == [300, 600, 900]
    assert found.unrecorded == {300: 2.5, 900: 50.0}
    assert not found.clocked
    cropped = discontinuities(raw.crop(1.0, None))
    assert cropped.breaks == [200, 500, 800]
    assert cropped.unrecorded == {200: 2.5, 800: 50.0}


def edf(tmp_path, times, kind="EDF+D", suffix=".edf", rate=100, seconds=1.0):
    per = round(rate * seconds)
    eeg = np.random.default_rng(0).normal(0, 20, (2, per * len(times)))
    file = write_edf(tmp_path / f"r{suffix}", eeg, rate, ["Cz", "Pz"], kind, times, seconds=seconds)
    reader = mne.io.read_raw_bdf if suffix == ".bdf" else mne.io.read_raw_edf
    return reader(file, verbose="ERROR")


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("begin", [0, 0.5, 3600])
def test_times_of_records_tell_pauses_and_their_length(tmp_path, suffix, begin):
    times = [f"{begin + second + 5 * (second >= 3) + 0.25 * (second >= 7):g}" for second in range(10)]
    raw = edf(tmp_path, times, f"{suffix[1:].upper()}+D", suffix)
    found = discontinuities(raw)
    assert found.clocked
    assert found.breaks == [300, 700]
    assert found.unrecorded == pytest.approx({300: 5.0, 700: 0.25})
    cropped = discontinuities(raw.copy().crop(1.0, None))
    assert cropped.breaks == [200, 600]
    assert cropped.unrecorded == pytest.approx({200: 5.0, 600: 0.25})
    joined = discontinuities(mne.concatenate_raws([raw.copy().crop(2.0, None), raw.copy()], verbose="ERROR"))
    assert joined.breaks == [100, 500, 800, 1100, 1500]
    assert joined.unrecorded == pytest.approx({100: 5.0, 500: 0.25, 1100: 5.0, 1500: 0.25})


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D"])
@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([f"{n:g}" for n in range(60)], 1.0),
        ([f"{n / 3:.2f}" for n in range(60)], 1 / 3),  # rounded
        ([f"{n * 0.125:.1f}" for n in range(60)], 0.125),
        ([f"{n + 0.004 * (-1) ** n:.3f}" for n in range(60)], 1.0),  # jitter of the clock
        ([f"{n + 0.03 * (n == 20):.3f}" for n in range(60)], 1.0),  # one record is late, the next one is not
    ],
)
def test_times_that_are_rounded_or_jitter_are_no_pauses(tmp_path, caplog, kind, times, seconds):
    assert discontinuities(edf(tmp_path, times, kind, rate=96, seconds=seconds)).breaks == []
    assert not caplog.records


@given(
    jitter=st.floats(0, 0.02),
    pauses=st.dictionaries(st.integers(1, 39), st.floats(0.1, 500), max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_pauses_are_told_from_jitter(tmp_path_factory, jitter, pauses, seed):
    """Whatever the jitter, a pause beyond twice of it is found, and nothing else."""
    wander = np.random.default_rng(seed).uniform(-jitter, jitter, 40)
    times = np.arange(40) + np.cumsum([pauses.get(n, 0.0) for n in range(40)]) + wander
    found = discontinuities(edf(tmp_path_factory.mktemp("edf"), [f"{time:.4f}" for time in times - times[0]]))
    assert found.breaks == [100 * n for n in sorted(pauses)]
    for n, seconds in pauses.items():
        assert found.unrecorded[100 * n] == pytest.approx(seconds, abs=4 * jitter + 1e-3)


def test_a_continuous_file_whose_records_are_apart_is_said(tmp_path, caplog):
    raw = edf(tmp_path, ["0", "1", "7", "8"], "EDF+C")
    with caplog.at_level(logging.WARNING):
        assert discontinuities(raw).unrecorded == {200: 5.0}
    assert "r.edf: is declared continuous (EDF+C), but 1 of its data records begin later" in caplog.text


def test_times_that_do_not_ascend_are_refused_or_not_looked_at(tmp_path, caplog):
    with pytest.raises(DataError, match=r"r\.edf: data record 3 begins at 0 s, the one before it at 1 s; export"):
        discontinuities(edf(tmp_path, ["0", "1", "0", "3"]))
    with pytest.raises(DataError, match=r"r\.edf: data record 3 has no time; export the recording again"):
        discontinuities(edf(tmp_path, ["0", "1", "", "3"]))
    assert discontinuities(edf(tmp_path, ["0", "1", "", "3"], "EDF+C")).breaks == []
    with caplog.at_level(logging.WARNING):
        assert discontinuities(edf(tmp_path, ["0", "0", "0"], "EDF+C")).breaks == []
    assert "r.edf: its data records have times that do not ascend" in caplog.text


def test_a_clock_that_runs_apart_from_the_samples_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert discontinuities(edf(tmp_path, [f"{1.002 * n:.3f}" for n in range(60)])).breaks == []
    assert "r.edf: the times of its data records drift 0.118 s from their samples" in caplog.text


def test_biosemi_recordings_break_where_the_status_says_a_new_epoch(tmp_path):
    status = np.full(1000, 0xF00)
    status[[0, 1, 300, 301, 650]] |= 1 << 16
    status[400:500] |= 5
    eeg = np.random.default_rng(0).normal(0, 20, (2, 1000))
    file = write_edf(tmp_path / "r.bdf", eeg, RATE, ["Cz", "Pz"], "24BIT", status=status)
    raw = mne.io.read_raw_bdf(file, verbose="ERROR")
    found = discontinuities(raw)
    assert (found.breaks, found.unrecorded, found.clocked) == ([300, 650], {}, False)
    assert discontinuities(raw.crop(4.0, None)).breaks == [250]


@pytest.mark.parametrize("suffix", [".edf", ".bdf", ".vhdr", ".set", ".fif"])
def test_files_without_an_interruption_have_none(tmp_path, suffix):
    file = write_recording(tmp_path / f"r{suffix}", raw_of().get_data(), ["Cz", "Pz"], RATE)
    found = discontinuities(mne.io.read_raw(file, verbose="ERROR"))
    assert (found.breaks, found.gaps, found.unrecorded) == ([], [], {})


def test_annotations_of_a_file_that_pauses_are_on_its_clock(tmp_path):
    """100 s are missing at 3 s: 105 s are the samples at 5 s, which mne looks for behind the end."""
    eeg, times = np.random.default_rng(0).normal(0, 20, (2, 1000)), [f"{n + 100 * (n >= 3)}" for n in range(10)]
    notes = [
        (2.0, 0.0, "boundary"),
        (105.0, 1.0, "BAD_ACQ_SKIP"),
        (108.0, 3.0, "boundary"),
        (50.0, 0.0, "EDGE boundary"),
    ]
    raw = mne.io.read_raw_edf(
        write_edf(tmp_path / "r.edf", eeg, RATE, ["Cz", "Pz"], "EDF+D", times, notes), verbose="ERROR"
    )
    found = discontinuities(raw)
    assert found.breaks == [200, 300, 500, 600, 800]
    assert found.unrecorded == pytest.approx({300: 100.0})
    assert found.gaps == [(500, 600)]
    cropped = discontinuities(raw.crop(1.0, None))
    assert (cropped.breaks, cropped.gaps) == ([100, 200, 400, 500, 700], [(400, 500)])


@pytest.mark.parametrize(("suffix", "begin"), [(".edf", 0), (".bdf", 0.5)])
def test_annotations_are_those_that_mne_reads(tmp_path, suffix, begin):
    notes = [
        (begin + 2.5, 0.0, "a+1"),
        (begin + 3.0, 1.5, "b\x14c"),
        (begin + 4.0, 0.0, "d@@Cz"),
        (begin + 4.0, 0.0, "d@@Pz"),
    ]
    eeg, times = np.random.default_rng(0).normal(0, 20, (2, 1000)), [f"{n + begin:g}" for n in range(10)]
    file = write_edf(tmp_path / f"r{suffix}", eeg, RATE, ["Cz", "Pz"], f"{suffix[1:].upper()}+C", times, notes)
    read = mne.io.read_raw(file, verbose="ERROR").annotations
    expected = [(note["onset"], note["duration"], note["description"]) for note in read]
    assert expected == [(2.5, 0.0, "a+1"), (3.0, 1.5, "b"), (3.0, 1.5, "c"), (4.0, 0.0, "d")]
    assert annotations_of(file) == expected
    write_edf(file, eeg, RATE, ["Cz", "Pz"], f"{suffix[1:].upper()}+C", times, [(begin + 1.0, 0.0, "Gerät")])
    assert annotations_of(file) == [(1.0, 0.0, "Gerät")]  # in Latin-1
