from __future__ import annotations

import gc
import gzip
import os
import pickle
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparrkulee_files import ELECTRODES, INPUTS, run_name, write_bdf, write_published, write_sparrkulee

from eeg2speech.core.errors import DataError, DiskError
from eeg2speech.data.files import packed
from eeg2speech.data.readers import sparrkulee
from eeg2speech.data.readers.sparrkulee import SparrKULee

real = pytest.mark.real
FIRST, SECOND = run_name("001", 1), run_name("001", 2)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def root(tmp_path, temporary):
    return write_sparrkulee(tmp_path / "sparrkulee", subjects=("001",))


def bdf(root, name=FIRST):
    return root / "sub-001" / "ses-shortstories01" / "eeg" / f"{name}_eeg.bdf.gz"


def events(root, name=FIRST):
    return bdf(root, name).with_name(f"{name}_events.tsv")


def load(root, number=0, **options):
    return SparrKULee(root, **options).sources()[number].load()


def test_one_source_per_run_in_order(tmp_path):
    root = write_sparrkulee(tmp_path / "s", subjects=("002", "001"), seconds=1.0)
    sources = SparrKULee(root).sources()
    assert [s.recording for s in sources] == [run_name(subject, run) for subject in ("001", "002") for run in (1, 2)]
    assert (sources[3].subject, sources[3].session, sources[3].run) == ("002", "shortstories01", "02")
    assert [file.name for file in sources[0].inputs] == [
        f"{FIRST}_eeg.bdf.gz",
        f"{FIRST}_events.tsv",
        "audiobook_1.npz.gz",
    ]
    assert [s.subject for s in SparrKULee(root, subjects=[2]).sources()] == ["002", "002"]
    with pytest.raises(DataError, match="no participant '9'; it holds 001, 002"):
        SparrKULee(root, subjects=[9]).sources()


def test_a_raw_recording_holds_volts_of_the_cap_segments_and_sounds(root):
    raw = load(root, 1)
    expected = np.random.default_rng([1, 2]).normal(0, 20.0, (64, 9 * 512))
    assert raw.rate == 512
    assert [c.name for c in raw.channels] == list(ELECTRODES)
    np.testing.assert_allclose(raw.eeg[0:64, 100:2000], expected[:, 100:2000] * 1e-6, atol=1e-7)
    assert raw.channels[0].y > 0.08  # Fp1 is in front
    (segment,) = raw.segments
    assert (segment.onset, segment.duration, segment.stimulus) == (1.5, 6.0, "podcast_1")
    assert (segment.condition, segment.label) == ("listening", "in_noise_-4dB")
    wave, rate = raw.stimuli["podcast_1"]()
    assert (len(wave), rate) == (96000, 16000)
    assert load(root, 0).segments[0].label == ""


def test_the_unpacked_copy_lasts_as_long_as_the_signal(root, temporary):
    raw = load(root)
    assert len(list(temporary.rglob("*.bdf"))) == 1
    eeg = raw.eeg
    del raw
    gc.collect()
    assert np.isfinite(eeg[0:1, 0:10]).all()
    del eeg
    gc.collect()
    assert not list(temporary.iterdir())


def test_unpacked_recordings_are_read_in_place(root, temporary):
    plain = bdf(root).with_suffix("")
    plain.write_bytes(gzip.decompress(bdf(root).read_bytes()))
    bdf(root).unlink()
    assert load(root).eeg.shape == (64, 9 * 512)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"\xffBIOSEMI" + bytes(500))],
    ids=("empty", "no gzip", "nothing packed", "cut short"),
)
def test_damaged_recordings_are_named_and_leave_nothing(root, temporary, content):
    bdf(root).write_bytes(content)
    with pytest.raises(DataError, match=rf"{FIRST}_eeg\.bdf\.gz"):
        load(root)
    gc.collect()
    assert not list(temporary.iterdir())
    assert load(root, 1).eeg.shape == (64, 9 * 512)  # the others go on


@settings(max_examples=25, deadline=None)
@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_recording_cut_anywhere_is_an_error(kept):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a_eeg.bdf.gz"
        write_bdf(file, np.random.default_rng(0).normal(0, 20.0, (64, 256)), 128)
        content = file.read_bytes()
        file.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(DataError, match=r"a_eeg\.bdf\.gz"):
            sparrkulee.read_raw_run(file, Path(folder), "rest")


def test_a_full_disk_and_a_bomb_are_told_apart_from_damage(root, temporary, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(DiskError, match=r"cannot be unpacked into .*GB free\); set TMPDIR"):
            load(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.setattr(packed, "LARGEST", 1000)
    with pytest.raises(DataError, match="unpacks to more than"):
        load(root)
    assert not list(temporary.iterdir())


def test_electrodes_may_be_named_after_the_inputs_of_the_amplifier(root):
    expected = np.random.default_rng(5).normal(0, 20.0, (64, 1536))
    write_bdf(bdf(root), expected[::-1], 512, tuple(reversed(INPUTS)))
    (events(root)).unlink()
    raw = sparrkulee.read_raw_run(bdf(root), root, "restingState")
    assert [c.name for c in raw.channels] == list(ELECTRODES)
    np.testing.assert_allclose(raw.eeg[0:64, 0:1536], expected * 1e-6, atol=1e-7)
    write_bdf(bdf(root), expected, 512, ("X1", *ELECTRODES[1:]))
    with pytest.raises(DataError, match=r"no electrode Fp1 among its 73 channels \(X1, AF7"):
        sparrkulee.read_raw_run(bdf(root), root, "restingState")


def test_rest_needs_no_events_but_listening_does(root):
    name = "sub-001_ses-shortstories01_task-restingState"
    bdf(root, name).write_bytes(bdf(root).read_bytes())
    (segment,) = next(s for s in SparrKULee(root).sources() if s.recording == name).load().segments
    assert (segment.condition, segment.stimulus, segment.duration) == ("rest", "", 9.0)
    events(root).unlink()
    with pytest.raises(DataError, match=rf"{FIRST}_events\.tsv: cannot be read"):
        load(root)


def test_recordings_without_triggers_are_left_out_and_said(root, caplog):
    name = sparrkulee.UNALIGNED[0]
    folder = root / "sub-006" / "ses-shortstories01" / "eeg"
    folder.mkdir(parents=True)
    (folder / f"{name}_eeg.bdf.gz").write_bytes(bdf(root).read_bytes())
    assert {s.subject for s in SparrKULee(root).sources()} == {"001"}
    assert name in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stim_file", "stim", "no column stim_file"),
        ("1.5\t", "soon\t", "could not convert string to float: 'soon'"),
        ("1.5\t", "nan\t", "is impossible"),
        ("1.5\t", "99\t", r"onset 99 s lies outside .* of 9\.0 s"),
        ("eeg/audiobook_1.npz.gz", "../../audiobook_1.npz.gz", "leads out of"),
        ("eeg/audiobook_1.npz.gz", "eeg/audiobook_2.npz.gz", r"audiobook_2\.npz\.gz: missing"),
    ],
)
def test_events_that_cannot_be_used_are_named(root, old, new, message):
    events(root).write_text(events(root).read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        load(root)


def test_segments_end_with_the_sound_and_the_recording(root):
    text = events(root).read_text()
    events(root).write_text(text.replace("\t6\t", "\t60\t"))
    assert load(root).segments[0].duration == 6.0
    events(root).write_text(text.replace("1.5\t", "5\t"))
    assert load(root).segments[0].duration == 4.0


def test_published_preprocessing_starts_with_the_sound(root, temporary):
    write_published(root, ("001",))
    sources = SparrKULee(root, published=True).sources()
    assert [s.recording for s in sources] == [f"{FIRST}_audiobook_1", f"{SECOND}_podcast_1"]
    raw = pickle.loads(pickle.dumps(sources[1].load))()
    expected = np.random.default_rng([1, 2]).normal(0, 5.0, (64, 512)) * 1e-6
    np.testing.assert_allclose(raw.eeg, expected, rtol=1e-5)
    (segment,) = raw.segments
    assert (raw.rate, segment.onset, segment.duration, segment.label) == (64, 0.0, 6.0, "in_noise_-4dB")
    assert list(raw.stimuli) == ["podcast_1"]
    assert not raw.envelopes
    assert not list(temporary.iterdir())


def test_published_envelopes_stand_in_for_missing_sounds(tmp_path):
    root = write_published(tmp_path / "s", ("001",), seconds=4.0)
    raw = load(root, published=True)
    values, rate = raw.envelopes["audiobook_1"]()
    assert (len(values), rate, raw.segments[0].duration, raw.segments[0].label) == (256, 64, 4.0, "")
    assert not raw.stimuli
    (root / "derivatives" / "preprocessed_stimuli" / "audiobook_1_envelope.npy").unlink()
    with pytest.raises(DataError, match="neither a sound nor an envelope of audiobook_1"):
        load(root, published=True)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((63, 512)), r"EEG is float64 of shape \(63, 512\), not 64 channels by samples"),
        (np.zeros(512), r"of shape \(512,\)"),
        (np.full((64, 512), "x"), "EEG is <U1"),
        (np.zeros((64, 512)), "vary by 0 microvolts, which is no EEG"),
        (np.full((64, 512), np.nan), "vary by 0 microvolts"),
        (np.random.default_rng(0).normal(0, 5e-6, (64, 512)), "taken in uV its channels vary by .*e-06"),
    ],
)
def test_published_arrays_of_the_wrong_kind_are_named(tmp_path, array, message):
    root = write_published(tmp_path / "s", ("001",))
    source = SparrKULee(root, published=True).sources()[0]
    np.save(source.inputs[0], array)
    with pytest.raises(DataError, match=rf"audiobook_1_eeg\.npy: {message}|{message}"):
        source.load()


def test_the_other_orientation_is_turned(tmp_path):
    root = write_published(tmp_path / "s", ("001",))
    source = SparrKULee(root, published=True).sources()[0]
    expected = source.load().eeg
    np.save(source.inputs[0], np.load(source.inputs[0]).T)
    np.testing.assert_array_equal(source.load().eeg, expected)


@settings(max_examples=25, deadline=None)
@given(kept=st.floats(0, 1, exclude_max=True), which=st.integers(0, 1))
def test_published_files_cut_anywhere_are_an_error(kept, which):
    with tempfile.TemporaryDirectory() as folder:
        source = SparrKULee(write_published(Path(folder), ("001",), seconds=1.0), published=True).sources()[0]
        content = source.inputs[which].read_bytes()
        source.inputs[which].write_bytes(content[: int(kept * len(content))])
        with pytest.raises(DataError, match=source.inputs[which].name):
            source.load()


def test_folders_that_hold_nothing_of_what_was_asked_for(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        SparrKULee(tmp_path / "nowhere").sources()
    with pytest.raises(DataError, match=r"holds no sub-\*/ses-\*/eeg/\*_eeg\.bdf\.gz, .* for published"):
        SparrKULee(tmp_path).sources()
    with pytest.raises(DataError, match=r"holds no .*derivatives"):
        SparrKULee(tmp_path, published=True).sources()


@real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_published_files_of_the_dataset_are_read():
    root = Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "sparrkulee_truncated"
    first, second = SparrKULee(root, published=True).sources()
    assert (first.subject, first.session, first.run) == ("027", "varyingStories01", "08")
    assert second.subject == "031"
    raw = first.load()
    assert raw.eeg.shape == (64, 7808)
    assert 3e-6 < raw.eeg.std() < 7e-6
    np.testing.assert_allclose(raw.eeg.mean(axis=0), 0.0, atol=1e-11)  # average reference
    (segment,) = raw.segments
    assert segment.duration == pytest.approx(119.41, abs=0.01)  # as events.tsv says
    assert segment.label == "in_noise_-4dB"
    assert len(raw.envelopes["audiobook_7_5"]()[0]) == 7642
    with pytest.raises(DataError, match=r"no sub-\*"):
        SparrKULee(root).sources()


def test_a_table_without_sounds_keeps_the_recording_and_is_named(root, caplog):
    header = events(root).read_text().splitlines()[0]
    events(root).write_text(header + "\n")
    raw = load(root)
    seconds = raw.eeg.shape[1] / raw.rate
    assert [(s.onset, s.duration, s.stimulus) for s in raw.segments] == [(0.0, seconds, "")]
    assert [(lost.what, lost.reason) for lost in raw.lost] == [("sound", "its events.tsv has no sounds")]
    assert caplog.messages == [f"{events(root)}: has no rows of sounds; the recording is kept without a sound"]
