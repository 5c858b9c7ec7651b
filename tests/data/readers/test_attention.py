from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import scipy.io
import soundfile
from attention_files import ELECTRODES, write_dtu, write_kul
from hypothesis import given, settings
from hypothesis import strategies as st
from matlab_files import VERSIONS, matlab_object, write_mat

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.readers.dtu import DtuAttention
from eeg2speech.data.readers.kul import NOTICE, KulAttention

versions = pytest.mark.parametrize("version", VERSIONS)
INPUTS = tuple(f"{bank}{number}" for bank in "AB" for number in range(1, 33))


@versions
def test_a_participant_of_kul_is_one_recording_with_breaks(tmp_path, version):
    root = write_kul(tmp_path / "kul", version=version)
    first, second = KulAttention(root).sources()
    assert (first.recording, second.subject) == ("sub-01", "02")
    assert [file.name for file in first.inputs][:2] == ["S1.mat", "part1_track1_dry.wav"]
    raw = pickle.loads(pickle.dumps(first.load))()
    assert raw.eeg.shape == (64, 2048)
    assert raw.breaks == [768, 1536]
    rng = np.random.default_rng(1)
    expected = np.concatenate([rng.normal(0, 20.0, (samples, 64)) for samples in (768, 768, 512)]).T * 1e-6
    np.testing.assert_allclose(raw.eeg, expected, rtol=1e-5)
    assert [c.name for c in raw.channels] == list(ELECTRODES)


@versions
def test_the_attended_story_is_the_stimulus_dry_and_repeated_alike(tmp_path, version):
    root = write_kul(tmp_path / "kul", (1,), version)
    raw = KulAttention(root).sources()[0].load()
    assert [(s.onset, s.duration, s.stimulus, s.label) for s in raw.segments] == [
        (0.0, 6.0, "part1_track1", "left"),
        (6.0, 6.0, "part2_track1", "right"),  # played through a head's transfer functions
        (12.0, 3.0, "part1_track1", "left"),  # a repetition, whose sound ends before the EEG
    ]
    assert {s.offset for s in raw.segments} == {0.0}
    assert raw.stimuli["part2_track1"] == root / "stimuli" / "part2_track1_dry.wav"
    assert set(raw.stimuli) == {"part1_track1", "part2_track1"}


@versions
def test_electrodes_of_kul_are_put_in_order(tmp_path, version):
    root = write_kul(tmp_path / "kul", (1,), version, names=tuple(reversed(ELECTRODES)))
    raw = KulAttention(root).sources()[0].load()
    expected = np.random.default_rng(1).normal(0, 20.0, (768, 64))[:, ::-1].T * 1e-6
    np.testing.assert_allclose(raw.eeg[:, :768], expected, rtol=1e-5)
    assert [c.name for c in raw.channels] == list(ELECTRODES)


def test_a_repetition_that_differs_is_another_stimulus(tmp_path, caplog):
    root = write_kul(tmp_path / "kul", (1,))
    soundfile.write(root / "stimuli" / "rep_part1_track1_dry.wav", np.full(48000, 0.25), 16000)
    raw = KulAttention(root).sources()[0].load()
    assert [s.stimulus for s in raw.segments] == ["part1_track1", "part2_track1", "rep_part1_track1"]
    assert "rep_part1_track1_dry.wav: is not the start of part1_track1_dry.wav" in caplog.text


def test_the_authors_notice_is_said_once_and_kept(tmp_path, caplog):
    root = write_kul(tmp_path / "kul", (1, 2))
    reader = KulAttention(root)
    for source in reader.sources():
        source.load()
    assert caplog.text.count(NOTICE) == 1
    assert reader.description().settings["reader.notice"] == NOTICE


@versions
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda trial: trial.pop("RawData"), "no field RawData"),
        (lambda trial: trial["RawData"].pop("EegData"), r"no field RawData\.EegData"),
        (lambda trial: trial["FileHeader"].pop("SampleRate"), r"no field FileHeader\.SampleRate"),
        (lambda trial: trial["FileHeader"].update(SampleRate=0.0), r"FileHeader\.SampleRate is 0"),
        (lambda trial: trial["FileHeader"].update(SampleRate="fast"), "cut short or damaged"),
        (lambda trial: trial["RawData"].update(EegData=np.ones((300, 66))), r"RawData\.EegData is .*\(300, 66\)"),
        (lambda trial: trial.update(attended_ear="B"), "attends to None of"),
        (lambda trial: trial.update(stimuli="part1_track1_dry.wav"), "not to L or R of two"),
        (lambda trial: trial.update(stimuli=["a.wav", "b.wav"]), r"stimulus 'a\.wav' is not named like"),
    ],
)
def test_trials_of_another_kind_are_named(tmp_path, version, change, message):
    root = write_kul(tmp_path / "kul", (1, 2))
    trial = {
        "RawData": {"EegData": np.random.default_rng(0).normal(0, 9.0, (300, 64))},
        "FileHeader": {"SampleRate": 128.0},
        "stimuli": ["part1_track1_dry.wav", "part1_track2_dry.wav"],
        "attended_ear": "L",
    }
    write_mat(root / "S1.mat", {"trials": [trial]}, version)
    sources = KulAttention(root).sources()
    assert sources[0].load().eeg.shape == (64, 300)  # one trial, without names of channels
    change(trial)
    write_mat(root / "S1.mat", {"trials": [trial, trial]}, version)
    with pytest.raises(DataError, match=rf"S1\.mat: .*{message}"):
        sources[0].load()
    assert sources[1].load().segments  # the others go on


@versions
def test_trials_at_several_rates_and_files_without_trials(tmp_path, version):
    root = write_kul(tmp_path / "kul", (1,), version)
    trials = [
        {
            "RawData": {"EegData": np.random.default_rng(0).normal(0, 9.0, (300, 64))},
            "FileHeader": {"SampleRate": rate},
            "stimuli": ["part1_track1_dry.wav", "part1_track2_dry.wav"],
            "attended_ear": "L",
        }
        for rate in (128.0, 64.0)
    ]
    write_mat(root / "S1.mat", {"trials": trials}, version)
    with pytest.raises(DataError, match="2 trials at 2 rates"):
        KulAttention(root).sources()[0].load()
    write_mat(root / "S1.mat", {"preproc_trials": trials}, version)
    with pytest.raises(DataError, match=r"S1\.mat: no variable 'trials'"):
        KulAttention(root).sources()[0].load()


def test_a_missing_story_is_named(tmp_path):
    root = write_kul(tmp_path / "kul", (1,))
    (root / "stimuli" / "part2_track1_dry.wav").unlink()
    with pytest.raises(DataError, match=r"part2_track1_dry\.wav: missing"):
        KulAttention(root).sources()[0].load()


@versions
@pytest.mark.parametrize("table", ["csv", "struct"])
def test_a_participant_of_dtu_holds_cap_and_segment_per_trial(tmp_path, version, table):
    root = write_dtu(tmp_path / "dtu", version=version, table=table)
    first, second = DtuAttention(root, subjects=["S1", 2]).sources()
    assert (first.recording, second.subject) == ("sub-01", "02")
    raw = pickle.loads(pickle.dumps(first.load))()
    expected = np.random.default_rng(1).normal(0, 20.0, (24 * 128, 73))[:, :64].T * 1e-6
    np.testing.assert_allclose(raw.eeg, expected, rtol=1e-5)
    assert [c.name for c in raw.channels] == list(ELECTRODES)
    assert [(s.onset, s.duration, s.stimulus, s.label) for s in raw.segments] == [
        (2.0, 5.0, "aske_story1_trial_1", "right"),
        (9.0, 5.0, "aske_story2_trial_1", ""),  # one talker
        (16.0, 4.0, "marianne_story1_trial_2", "left"),  # ends before its sound
    ]
    assert raw.stimuli["marianne_story1_trial_2"] == root / "AUDIO" / "marianne_story1_trial_2.wav"
    assert raw.rate == 128
    assert not raw.breaks


def test_electrodes_of_dtu_are_found_by_name_or_input(tmp_path):
    for folder, names in (("names", tuple(reversed(ELECTRODES))), ("inputs", tuple(reversed(INPUTS)))):
        raw = DtuAttention(write_dtu(tmp_path / folder, (1,), names=names)).sources()[0].load()
        expected = np.random.default_rng(1).normal(0, 20.0, (24 * 128, 73))[:, 63::-1].T * 1e-6
        np.testing.assert_allclose(raw.eeg, expected, rtol=1e-5)
        assert [c.name for c in raw.channels] == list(ELECTRODES)
    root = write_dtu(tmp_path / "other", (1,), names=("X1", *ELECTRODES[1:]))
    with pytest.raises(DataError, match=r"S1\.mat: no electrode Fp1 among its 73 channels"):
        DtuAttention(root).sources()[0].load()


@versions
def test_a_table_that_only_matlab_reads_is_explained(tmp_path, version):
    root = write_dtu(tmp_path / "dtu", (1,), version, table="none")
    with pytest.raises(DataError, match=r"S1\.csv: missing, .*writetable\(expinfo, 'S1\.csv'\)"):
        DtuAttention(root).sources()[0].load()


def test_an_opaque_table_in_the_file_does_no_harm(tmp_path):
    root = write_dtu(tmp_path / "dtu", (1,))
    file = root / "EEG" / "S1.mat"
    file.write_bytes(file.read_bytes() + matlab_object("expinfo", "table"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(scipy.io.loadmat(file)["None"], scipy.io.matlab.MatlabOpaque)
    assert len(DtuAttention(root).sources()[0].load().segments) == 3
    file.with_suffix(".csv").unlink()
    with pytest.raises(DataError, match="a table that only MATLAB reads"):
        DtuAttention(root).sources()[0].load()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trigger", "code", "no column trigger"),
        ("aske_story1_trial_1.wav", "../secret.wav", "leads out of"),
        ("aske_story1_trial_1.wav", "gone.wav", r"gone\.wav: missing"),
        ("1,2,1,2,", "x,2,1,2,", r"trial 1 of expinfo is not readable"),
        ("1,2,1,2,", "1,5,1,2,", r"trial 1 of expinfo is not readable \(5\)"),
        ("aske_story2_trial_1.wav", "NaN", "trial 2 of expinfo names no sound"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, old, new, message):
    root = write_dtu(tmp_path / "dtu", (1,))
    table = root / "EEG" / "S1.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        DtuAttention(root).sources()[0].load()


def test_trials_without_trigger_are_left_out_foreign_tables_refused(tmp_path, caplog):
    root = write_dtu(tmp_path / "dtu", (1,))
    table = root / "EEG" / "S1.csv"
    text = table.read_text()
    table.write_text(text.replace(",,3", ",,44"))
    raw = DtuAttention(root).sources()[0].load()
    assert len(raw.segments) == 2
    assert [(lost.what, lost.reason) for lost in raw.lost] == [("segment", "no trigger of its trial")]
    assert "1 of 3 trials have no trigger" in caplog.text
    table.write_text(text.replace(",7", ",55").replace(",,3", ",,44"))
    with pytest.raises(DataError, match=r"none of the 3 triggers of expinfo occurs; is S1\.csv from it"):
        DtuAttention(root).sources()[0].load()


@versions
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("dim",), {}, r"no field dim\.chan"),
        (("fsample",), {"eeg": float("nan")}, r"fsample\.eeg is nan"),
        (("event", "eeg"), {"sample": np.array([[1.0]]), "value": [7.0, 8.0]}, "1 samples of 2 events"),
        (("event", "eeg"), {"sample": np.array([[9e9], [9e9]]), "value": [7.0, 191.0]}, "a trial starts at"),
        (("eeg",), [np.ones((500, 64))], r"data\.eeg is float64 of shape \(500, 64\), not 73 channels"),
    ],
)
def test_recordings_of_another_kind_are_named(tmp_path, version, path, value, message):
    root = write_dtu(tmp_path / "dtu", (1, 2))
    content = {
        "eeg": [np.random.default_rng(0).normal(0, 9.0, (2560, 73))],
        "fsample": {"eeg": 128.0},
        "dim": {"chan": {"eeg": [*ELECTRODES, *(f"EXG{n}" for n in range(1, 9)), "Status"]}},
        "event": {"eeg": {"sample": np.array([[1.0], [1000.0]]), "value": [7.0, 191.0]}},
    }
    inner = content
    for field in path[:-1]:
        inner = inner[field]
    inner[path[-1]] = value
    write_mat(root / "EEG" / "S1.mat", {"data": content}, version)
    sources = DtuAttention(root).sources()
    with pytest.raises(DataError, match=rf"S1\.mat: {message}"):
        sources[0].load()
    assert sources[1].load().segments  # the others go on


@pytest.mark.parametrize(("reader", "write"), [(KulAttention, write_kul), (DtuAttention, write_dtu)])
def test_selections_and_folders(tmp_path, reader, write):
    root = write(tmp_path / "set", (2, 10))
    assert [s.subject for s in reader(root).sources()] == ["02", "10"]
    for wanted in (["S10"], [10], ["10"]):
        assert [s.subject for s in reader(root, subjects=wanted).sources()] == ["10"]
    with pytest.raises(DataError, match="no participant '3'; it holds 02, 10"):
        reader(root, subjects=[3]).sources()
    with pytest.raises(DataError, match=r"holds no (EEG/)?S1\.mat or the like"):
        reader(tmp_path).sources()
    sounds = next(folder for folder in root.iterdir() if folder.name in ("stimuli", "AUDIO"))
    sounds.rename(tmp_path / "mine")
    with pytest.raises(DataError, match=r"no such folder; unpack the sounds there or name theirs \(sounds\)"):
        reader(root).sources()
    assert reader(root, sounds=tmp_path / "mine").sources()[0].load().stimuli


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recording and the content of its file, by data set and version."""
    found = {}
    for version in VERSIONS:
        kul = write_kul(tmp_path_factory.mktemp("kul"), (1,), version, seconds=2.0)
        dtu = write_dtu(tmp_path_factory.mktemp("dtu"), (1,), version)
        for name, reader in (("kul", KulAttention(kul)), ("dtu", DtuAttention(dtu))):
            (source,) = reader.sources()
            found[name, version] = source, source.inputs[0].read_bytes()
    return found


@settings(max_examples=40, deadline=None)
@given(kept=st.floats(0, 1, exclude_max=True), name=st.sampled_from(["kul", "dtu"]), version=st.sampled_from(VERSIONS))
def test_files_cut_anywhere_are_an_error(whole, kept, name, version):
    source, content = whole[name, version]
    source.inputs[0].write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"S1\.mat"):
        source.load()


def test_both_versions_hold_the_same(tmp_path):
    trials = [
        read_mat(write_kul(tmp_path / version, (1,), version) / "S1.mat", ("trials",))["trials"][0]
        for version in VERSIONS
    ]
    assert trials[0]["stimuli"] == trials[1]["stimuli"]
    assert trials[0]["FileHeader"]["Channels"] == trials[1]["FileHeader"]["Channels"]
