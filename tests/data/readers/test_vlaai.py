from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vlaai_files import write_vlaai

from eeg2speech.core.errors import DataError
from eeg2speech.data.readers import vlaai
from eeg2speech.data.readers.vlaai import Vlaai


@pytest.fixture
def root(tmp_path):
    return write_vlaai(tmp_path / "DTU", seconds=40.0)


def rewrite(root, **arrays):
    file = root / "DTU_S1_000.npz"
    with np.load(file) as archive:
        content = dict(archive) | arrays
    np.savez(file, **{key: value for key, value in content.items() if value is not None})
    return file


def test_one_source_per_trial_people_in_order(root):
    sources = Vlaai(root).sources()
    assert [s.recording for s in sources][2:5] == ["sub-02_run-000", "sub-02_run-001", "sub-10_run-000"]
    assert [s.subject for s in Vlaai(root, subjects=["S10", 2]).sources()] == ["02", "02", "10", "10"]
    with pytest.raises(DataError, match="no participant 'S7'"):
        Vlaai(root, subjects=["S7"]).sources()


def test_a_trial_holds_volts_by_channel_and_its_envelope(root):
    raw = pickle.loads(pickle.dumps(Vlaai(root).sources()[0].load))()
    expected = np.random.default_rng([1, 0]).normal(0, 5.0, (2560, 64)).T * 1e-6
    np.testing.assert_allclose(raw.eeg, expected, rtol=1e-5)
    assert [c.name for c in raw.channels][:2] == ["Fp1", "AF7"]
    (segment,) = raw.segments
    assert (raw.rate, segment.onset, segment.duration) == (64, 0.0, 40.0)
    values, rate = raw.envelopes[segment.stimulus]()
    np.testing.assert_array_equal(values, np.abs(np.random.default_rng(0).normal(0, 1.0, (2560, 1))).ravel())
    assert rate == 64


def test_the_same_speech_is_one_stimulus_though_trials_end_apart(root):
    by_run = {}
    for source in Vlaai(root).sources():
        by_run.setdefault(source.run, set()).add(source.load().segments[0].stimulus)
    assert [len(stimuli) for stimuli in by_run.values()] == [1, 1]
    assert by_run["000"] != by_run["001"]


def test_the_repository_may_be_given(tmp_path):
    write_vlaai(tmp_path / "vlaai" / "evaluation_datasets" / "DTU", subjects=(1,), seconds=2.0)
    assert len(Vlaai(tmp_path / "vlaai").sources()) == 2
    assert len(Vlaai(tmp_path / "vlaai" / "evaluation_datasets").sources()) == 2
    with pytest.raises(DataError, match=r"holds no DTU_S1_000\.npz"):
        Vlaai(tmp_path).sources()
    with pytest.raises(DataError, match="no such folder"):
        Vlaai(tmp_path / "nowhere").sources()


def test_the_other_orientation_is_turned(root):
    expected = Vlaai(root).sources()[0].load().eeg
    with np.load(root / "DTU_S1_000.npz") as archive:
        eeg = archive["eeg"]
    rewrite(root, eeg=eeg.T)
    np.testing.assert_array_equal(Vlaai(root).sources()[0].load().eeg, expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"eeg": None}, "holds envelope, no 'eeg'"),
        ({"envelope": None}, "holds eeg, no 'envelope'"),
        ({"eeg": np.zeros((2560, 66))}, r"eeg is float64 of shape \(2560, 66\), not 64 channels"),
        ({"eeg": np.zeros((64, 64))}, r"of shape \(64, 64\)"),
        ({"eeg": np.array([{}], object)}, "holds Python objects, which are never read; save plain arrays"),
        ({"envelope": np.zeros((2560, 28))}, r"envelope is float64 of shape \(2560, 28\)"),
        ({"envelope": np.full(2560, np.nan)}, "not a row of finite samples"),
        ({"envelope": np.zeros(0)}, "not a row of finite samples"),
    ],
)
def test_archives_of_another_kind_are_named(root, arrays, message):
    rewrite(root, **arrays)
    with pytest.raises(DataError, match=rf"DTU_S1_000\.npz: .*{message}"):
        Vlaai(root).sources()[0].load()
    assert Vlaai(root).sources()[1].load().eeg.shape == (64, 2560)  # the others go on


def test_a_unit_that_cannot_be_right_is_refused(tmp_path):
    root = write_vlaai(tmp_path / "DTU", subjects=(1,), trials=1, seconds=4.0, scale=5e-6)
    with pytest.raises(DataError, match=r"taken in uV its channels vary by .*unit: uV or V"):
        Vlaai(root).sources()[0].load()
    assert Vlaai(root, unit="V").sources()[0].load().eeg.std() == pytest.approx(5e-6, rel=0.1)


def test_bombs_are_refused(root, monkeypatch):
    monkeypatch.setattr(vlaai, "LARGEST", 1000)
    with pytest.raises(DataError, match="eeg unpacks to more than"):
        Vlaai(root).sources()[0].load()


@settings(max_examples=25, deadline=None)
@given(kept=st.floats(0, 1, exclude_max=True))
def test_archives_cut_anywhere_are_an_error(kept):
    with tempfile.TemporaryDirectory() as folder:
        (source,) = Vlaai(write_vlaai(Path(folder), (1,), 1, seconds=1.0)).sources()
        content = source.inputs[0].read_bytes()
        source.inputs[0].write_bytes(content[: int(kept * len(content))])
        with pytest.raises(DataError, match=r"DTU_S1_000\.npz"):
            source.load()
