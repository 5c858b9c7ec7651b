from __future__ import annotations

import os
import pickle
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io
from bids_files import NAMES, RATE, volts, write_recording, write_sound

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.readers.files import Files

FORMATS = (".vhdr", ".edf", ".bdf", ".set", ".fif")
EVERYTHING = (slice(None), slice(None))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read_by_name_of_the_file(tmp_path, suffix):
    write_recording(tmp_path / f"anna{suffix}", volts())
    (source,) = Files(tmp_path, leave_out=["EOG"]).sources()
    assert (source.recording, source.subject, source.session, source.run) == ("anna", "anna", "", "")
    assert {file.suffix for file in source.inputs} >= {suffix}
    raw = pickle.loads(pickle.dumps(source)).load()
    np.testing.assert_allclose(raw.eeg[EVERYTHING], volts()[:5], atol=3e-9)
    assert [channel.name for channel in raw.channels] == list(NAMES[:5])
    assert np.isfinite([channel.x for channel in raw.channels]).all()
    assert [(s.onset, s.duration, s.stimulus, s.condition) for s in raw.segments] == [(0, 10, "", "rest")]


@pytest.fixture
def root(tmp_path):
    for subject, run in (("S01", 1), ("S01", 2), ("S02", 1)):
        write_recording(tmp_path / subject / f"day1_run{run}.edf", volts(seed=run))
    write_recording(tmp_path / "calibration.edf", volts())
    return tmp_path


PATTERN = r"^(?P<subject>S\d+)/(?P<session>[^_]+)_run(?P<run>\d+)$"


def test_a_pattern_says_who_and_what(root):
    sources = Files(root, pattern=PATTERN).sources()
    assert [(s.recording, s.subject, s.session, s.run) for s in sources] == [
        ("S01_day1_run1", "S01", "day1", "1"),
        ("S01_day1_run2", "S01", "day1", "2"),
        ("S02_day1_run1", "S02", "day1", "1"),
    ]
    assert [s.subject for s in Files(root, pattern=PATTERN, subjects=["S02"]).sources()] == ["S02"]


def test_patterns_that_find_nothing_or_no_subject_say_so(root):
    with pytest.raises(ConfigError, match=r"pattern='\(': no regular expression"):
        Files(root, pattern="(").sources()
    with pytest.raises(ConfigError, match=r"pattern='S': has no group subject"):
        Files(root, pattern="S").sources()
    with pytest.raises(DataError, match=r"none of 4 recordings matches pattern="):
        Files(root, pattern=r"(?P<subject>P\d)").sources()
    with pytest.raises(DataError, match="no participant 'S07'; it holds S01, S02"):
        Files(root, pattern=PATTERN, subjects=["S07"]).sources()
    with pytest.raises(DataError, match="no such folder"):
        Files(root / "nowhere").sources()
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=r"no recording; it is searched for \.vhdr"):
        Files(root / "empty").sources()


def test_one_name_in_two_formats_gives_two_ids(tmp_path):
    write_recording(tmp_path / "a.edf", volts())
    write_recording(tmp_path / "a.set", volts())
    assert [source.recording for source in Files(tmp_path).sources()] == ["a.edf", "a.set"]


def test_parts_of_a_split_recording_and_hidden_files_are_no_recordings(tmp_path):
    raw = mne.io.RawArray(volts(20, 60_000), mne.create_info(20, 1000.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "long_raw.fif", split_size="2MB", verbose="ERROR")
    assert (tmp_path / "long_raw-1.fif").is_file()
    (tmp_path / "._long_raw.fif").write_text("")
    (source,) = Files(tmp_path).sources()
    assert source.load().eeg.shape == (20, 60_000)


def test_annotations_are_the_events_of_rules(tmp_path):
    info = mne.create_info(["Fp1", "Cz"], RATE, "eeg")
    raw = mne.io.RawArray(volts(2), info, first_samp=500, verbose="ERROR")
    raw.set_annotations(mne.Annotations([1.0, 4.0, 6.0], [2.0, 0.0, 1.0], ["play/a", "play/b", "cough"]))
    raw.save(tmp_path / "sub1_raw.fif", verbose="ERROR")
    for name in "ab":
        write_sound(tmp_path / "sounds" / f"{name}.wav", 3.0)
    rules = [SoundRule(event="play/(?P<tune>.)", sound="sounds/{tune}.wav", label="{trial_type}", text="{stem}")]
    (source,) = Files(tmp_path, sounds=rules, onset=0.5).sources()
    read = source.load()
    assert [(s.onset, s.duration, s.stimulus, s.label, s.text) for s in read.segments] == [
        (1.5, 2.0, "sounds_a", "play/a", "sub1_raw"),
        (4.5, 3.0, "sounds_b", "play/b", "sub1_raw"),
    ]
    (tmp_path / "sounds" / "b.wav").unlink()
    with pytest.raises(DataError, match=r"sub1_raw\.fif: annotation 2 \(play/b\): sound .*b\.wav is missing"):
        source.load()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.edf", b"Fp1,Fp2\n1,2\n", r"a\.edf: is no EDF file: replace it"),
        ("a.edf", b"", r"a\.edf: is no EDF file: replace it"),
        ("a.gdf", b"text", r"a\.gdf: is no GDF file: replace it"),
        ("a.fif", b"text", r"a\.fif: cut short or damaged"),
        ("a.set", b"text", r"a\.set: cut short or damaged"),
        ("a.vhdr", b"text", r"a\.vhdr: cut short or damaged"),
        ("a.cnt", b"text", r"a\.cnt: cut short or damaged"),
        ("a.con", b"text", r"a\.con: cut short or damaged"),
        ("a.lay", b"text", r"a\.lay: cut short or damaged"),
    ],
)
def test_what_a_file_is_not_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    (source,) = Files(tmp_path).sources()
    with pytest.raises(DataError, match=message) as error:
        source.load()
    assert "\n" not in str(error.value)


def test_a_bdf_that_is_an_edf_is_told(tmp_path):
    write_recording(tmp_path / "a.edf", volts()).rename(tmp_path / "a.bdf")
    with pytest.raises(DataError, match=r"a\.bdf: is no BDF file: it begins like a \.edf file; rename it"):
        Files(tmp_path).sources()[0].load()


def test_a_file_without_such_channels_says_what_it_has(tmp_path):
    write_recording(tmp_path / "a.edf", volts())
    with pytest.raises(
        DataError, match=r"a\.edf: none of the 6 channels of the recording is MAG OR GRAD \(they are eeg"
    ):
        Files(tmp_path, datatype="meg").sources()[0].load()


def test_intracranial_electrodes_need_no_place(tmp_path, caplog):
    write_recording(tmp_path / "a.edf", volts(3), ("LA1", "LA2", "EKG"))
    raw = Files(tmp_path, datatype="ieeg", leave_out=["EKG", "EOG"]).sources()[0].load()
    assert [(channel.name, channel.type) for channel in raw.channels] == [("LA1", "seeg"), ("LA2", "seeg")]
    assert caplog.messages == [f"{tmp_path / 'a.edf'}: has no channel EOG, which leave_out names"]


@pytest.mark.real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_published_eeglab_file_is_read():
    (source,) = Files(Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "formats" / "eeglab").sources()
    assert {file.suffix for file in source.inputs} == {".set", ".fdt"}
    raw = source.load()
    assert raw.eeg.shape == (32, 30_504)
    assert raw.rate == 128
    first = raw.channels[0]
    assert first.name == "FPz"
    assert (first.x, first.y, first.z) == pytest.approx((0.0, 0.0999779, -0.0021016), abs=1e-6)
    assert 1e-6 < np.median(np.abs(raw.eeg[EVERYTHING])) < 1e-4


def write_set(file, trials=1, data="a.fdt"):
    """EEGLAB file of some electrodes whose signal is elsewhere, or which holds epochs."""
    places = np.array([(name,) for name in NAMES], dtype=[("labels", object)])
    held = np.zeros((6, 100, trials), "f4") if trials > 1 else data
    empty = dict.fromkeys(("event", "epoch", "icawinv", "icasphere", "icaweights"), np.array([]))
    fields = {"setname": "", "nbchan": 6.0, "trials": float(trials), "pnts": 100.0, "srate": 100.0, "xmin": 0.0}
    scipy.io.savemat(file, {"EEG": {**fields, **empty, "xmax": 1.0, "data": held, "chanlocs": places}}, appendmat=False)


def epochs(tmp_path):
    data = np.random.default_rng(0).normal(0, 1e-5, (5, 6, 100))
    mne.EpochsArray(data, mne.create_info(list(NAMES), RATE, "eeg"), verbose="ERROR").save(
        tmp_path / "a-epo.fif", verbose="ERROR"
    )


def without_a_part(tmp_path):
    raw = mne.io.RawArray(volts(20, 60_000), mne.create_info(20, 1000.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "a_raw.fif", split_size="2MB", verbose="ERROR")
    (tmp_path / "a_raw-2.fif").unlink()


def renamed(tmp_path):
    write_recording(tmp_path / "orig.vhdr", volts())
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_name(file.name.replace("orig", "S1")))


def without(suffix, gone):
    def write(tmp_path):
        write_recording(tmp_path / f"a{suffix}", volts())
        (tmp_path / f"a{gone}").unlink()

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: write_set(path / "a.set"), r"a\.set: .*a\.fdt, which it needs, is missing; download it"),
        (lambda path: write_set(path / "a.set", 10), r"a\.set: holds 10 epochs, which are not supported; export the"),
        (epochs, r"a-epo\.fif: holds no continuous recording but epochs, .* which are not supported"),
        (without_a_part, r"a_raw\.fif: its part .*a_raw-2\.fif is missing; download it"),
        (renamed, r"S1\.vhdr: .*orig\.eeg, which it needs, cannot be read .* correct the name inside S1\.vhdr"),
        (without(".vhdr", ".eeg"), r"a\.vhdr: .*a\.eeg, which it needs, cannot be read"),
        (without(".vhdr", ".vhdr"), r"a\.eeg: its header, a\.vhdr, is missing; download it"),
        (lambda path: (path / "a.fdt").touch(), r"a\.fdt: its header, a\.set, is missing"),
        (lambda path: (path / "a.ds").mkdir(), r"a\.ds: .*a\.res4, which it needs, is missing"),
    ],
)
def test_what_is_missing_or_not_supported_is_not_called_damaged(tmp_path, write, message):
    write(tmp_path)
    (source,) = Files(tmp_path).sources()
    with pytest.raises(DataError, match=message) as error:
        source.load()
    assert "damaged" not in str(error.value)


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.mff").mkdir()
    missing = "For reading EGI MFF data to work, the module mffpy is needed, but it could not be imported."
    monkeypatch.setattr(mne.io, "read_raw", lambda *_, **__: (_ for _ in ()).throw(RuntimeError(missing)))
    with pytest.raises(DataError, match=r"a\.mff: reading it needs a package that is not installed; pip install mffpy"):
        Files(tmp_path).sources()[0].load()


def test_unread_formats_are_named_and_headers_naming_signals_found(tmp_path, caplog):
    write_recording(tmp_path / "a.edf", volts())
    write_recording(tmp_path / "orig.vhdr", volts()).rename(tmp_path / "b.vhdr")  # and names orig.eeg
    for name in ("c.xdf", "d.bdf.gz", "e.txt.gz", "f.mat", ".g.xdf"):
        (tmp_path / name).touch()
    assert [source.recording for source in Files(tmp_path).sources()] == ["a", "b"]
    assert caplog.messages == [f"{tmp_path}: files in formats that are not supported are skipped: 1 .bdf.gz, 1 .xdf"]


def test_annotations_in_latin_1_are_read(tmp_path, caplog):
    info = mne.create_info(["Fp1", "Cz"], RATE, "eeg")
    raw = mne.io.RawArray(volts(2), info, verbose="ERROR")
    raw.set_annotations(mne.Annotations([2.0], [0.0], ["geh#rt"]))
    mne.export.export_raw(tmp_path / "a.edf", raw, verbose="ERROR")
    file = tmp_path / "a.edf"
    file.write_bytes(file.read_bytes().replace(b"geh#rt", "gehört".encode("latin-1")))
    write_sound(tmp_path / "a.wav", 1.0)
    (source,) = Files(tmp_path, sounds=[SoundRule(event="gehört", sound="a.wav")]).sources()
    assert [(s.onset, s.duration) for s in source.load().segments] == [(2.0, 1.0)]
    assert f"{file}: its annotations are not in UTF-8; they are read as Latin-1" in caplog.messages


DOUBLED = ("Fp1", "-", "Cz", "-", "EKG")


def rename_in_edf(file):
    """Give two channels of an EDF file, called D1 and D2, one name."""
    content = file.read_bytes()
    file.write_bytes(content.replace(b"D1".ljust(16), b"-".ljust(16), 1).replace(b"D2".ljust(16), b"-".ljust(16), 1))


def test_doubled_names_matter_among_channels_that_are_taken_only(tmp_path, caplog):
    eeg = volts(5)
    file = write_recording(tmp_path / "a.edf", eeg, ("Fp1", "D1", "Cz", "D2", "EKG"))
    rename_in_edf(file)
    raw = Files(tmp_path, leave_out=["-", "EKG"]).sources()[0].load()
    assert [channel.name for channel in raw.channels] == ["Fp1", "Cz"]
    np.testing.assert_allclose(raw.eeg[EVERYTHING], eeg[[0, 2]], atol=3e-9)
    assert not [record for record in caplog.records if record.name.startswith("eeg2speech")]
    with pytest.raises(DataError, match=r"a\.edf: channel name '-' occurs more than once; rename one of the channels"):
        Files(tmp_path, leave_out=["EKG"]).sources()[0].load()
