from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from broderick_files import write_broderick, write_broderick_sounds
from hypothesis import given, settings
from hypothesis import strategies as st
from matlab_files import VERSIONS, write_mat

from eeg2speech.core.errors import DataError
from eeg2speech.data.readers.broderick import Broderick

versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(params=VERSIONS)
def root(tmp_path, request):
    return write_broderick(tmp_path / "Natural Speech", version=request.param)


def test_one_source_per_run_in_order(tmp_path):
    write_broderick(tmp_path / "Natural Speech", (10, 2), (1, 11, 2), seconds=1.0)
    (tmp_path / "Natural Speech - Reverse" / "EEG").mkdir(parents=True)
    sources = Broderick(tmp_path).sources()  # the folder above
    assert [s.recording for s in sources][:4] == [f"sub-02_run-{run}" for run in ("01", "02", "11")] + ["sub-10_run-01"]
    assert [file.name for file in sources[2].inputs] == ["Subject2_Run11.mat", "audio11_128Hz.mat"]
    assert {s.subject for s in Broderick(tmp_path, subjects=[10]).sources()} == {"10"}


def test_a_run_holds_volts_of_the_cap_and_the_envelope(root):
    raw = pickle.loads(pickle.dumps(Broderick(root).sources()[1].load))()
    expected = np.random.default_rng([1, 2]).normal(0, 15.0, (1029, 128)).T * 1e-6
    np.testing.assert_allclose(raw.eeg, expected, rtol=1e-5)
    assert [raw.channels[i].name for i in (0, 32, 127)] == ["A1", "B1", "D32"]
    assert raw.channels[0].z > 0.1  # A1 is the vertex
    (segment,) = raw.segments
    assert (raw.rate, segment.onset, segment.duration, segment.stimulus) == (128, 0.0, 8.0, "audio2")
    values, rate = raw.envelopes["audio2"]()
    np.testing.assert_allclose(values, np.abs(np.random.default_rng(2).normal(0, 1.0, 1024)))
    assert rate == 128
    assert not raw.stimuli


def test_ones_own_sounds_take_the_place_of_envelopes(root, tmp_path):
    sounds = write_broderick_sounds(tmp_path / "sounds", runs=(1,))
    first, second = Broderick(root, subjects=[1], sounds=sounds).sources()
    raw = first.load()
    assert raw.stimuli == {"audio1": sounds / "audio1.wav"}
    assert raw.segments[0].duration == pytest.approx(7.0)
    assert not raw.envelopes
    with pytest.raises(DataError, match=r"audio2\.wav: missing"):
        second.load()
    (sounds / "audio1.wav").rename(sounds / "chapter1.wav")
    with pytest.raises(DataError, match=r"holds no audio1\.wav or the like \(sounds\)"):
        Broderick(root, sounds=sounds).sources()
    with pytest.raises(DataError, match=r"no such folder \(sounds\)"):
        Broderick(root, sounds=tmp_path / "nowhere").sources()


def test_runs_without_envelope_keep_the_stimulus_and_say_so(root, caplog):
    (root / "Stimuli" / "Envelopes" / "audio1_128Hz.mat").unlink()
    raw = Broderick(root).sources()[0].load()
    assert raw.segments[0].stimulus == "audio1"
    assert not raw.envelopes
    assert "neither a sound nor" in caplog.text
    assert [(lost.what, lost.reason, lost.missing) for lost in raw.lost] == [
        ("sound", "audio1_128Hz.mat is missing", True)
    ]


@versions
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fs": 128.0}, "no variable 'eegData'"),
        ({"eegData": np.ones((500, 128))}, "no variable 'fs'"),
        ({"eegData": np.ones((500, 130)), "fs": 128.0}, r"eegData is float64 of shape \(500, 130\), not 128 channels"),
        ({"eegData": np.ones(500), "fs": 128.0}, r"of shape \(500,\)"),
        ({"eegData": "text", "fs": 128.0}, "eegData is <U4"),
        ({"eegData": np.random.default_rng(0).normal(0, 9.0, (500, 128)), "fs": -1.0}, "fs is -1, not a sampling rate"),
        ({"eegData": np.random.default_rng(0).normal(0, 9.0, (500, 128)), "fs": [1.0, 2.0]}, "cut short or damaged"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path, version, content, message):
    root = write_broderick(tmp_path / "b", (1,), version=version)
    write_mat(root / "EEG" / "Subject1" / "Subject1_Run1.mat", content, version)
    first, second = Broderick(root).sources()
    with pytest.raises(DataError, match=rf"Subject1_Run1\.mat: .*{message}"):
        first.load()
    assert second.load().eeg.shape == (128, 1029)  # the others go on


@versions
def test_the_other_orientation_is_turned(tmp_path, version):
    root = write_broderick(tmp_path / "b", (1,), (1,), version=version)
    (source,) = Broderick(root).sources()
    expected = source.load().eeg
    eeg = np.random.default_rng([1, 1]).normal(0, 15.0, (1029, 128)).astype(np.float32)
    write_mat(source.inputs[0], {"eegData": eeg.T, "fs": 128.0}, version)
    np.testing.assert_allclose(source.load().eeg, expected, rtol=1e-6)


@versions
def test_damaged_envelopes_are_named(tmp_path, version):
    root = write_broderick(tmp_path / "b", (1,), (1,), version=version)
    (source,) = Broderick(root).sources()
    write_mat(source.inputs[1], {"env": np.ones((100, 3))}, version)
    with pytest.raises(DataError, match=r"audio1_128Hz\.mat: env is float64 of shape \(100, 3\)"):
        source.load()
    write_mat(source.inputs[1], {"envelope": np.ones((100, 1))}, version)
    with pytest.raises(DataError, match=r"audio1_128Hz\.mat: no variable 'env'"):
        source.load()


def test_a_unit_that_cannot_be_right_is_refused(tmp_path):
    root = write_broderick(tmp_path / "b", (1,), (1,), volts=True)
    with pytest.raises(DataError, match="taken in uV its channels vary by"):
        Broderick(root).sources()[0].load()
    assert Broderick(root, unit="V").sources()[0].load().eeg.std() == pytest.approx(15e-6, rel=0.1)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no EEG/Subject1"):
        Broderick(tmp_path).sources()
    (tmp_path / "EEG").mkdir()
    with pytest.raises(DataError, match=r"holds no EEG/Subject1/Subject1_Run1\.mat"):
        Broderick(tmp_path).sources()


@settings(max_examples=40, deadline=None)
@given(kept=st.floats(0, 1, exclude_max=True), version=st.sampled_from(VERSIONS), which=st.integers(0, 1))
def test_files_cut_anywhere_are_an_error(kept, version, which):
    with tempfile.TemporaryDirectory() as folder:
        (source,) = Broderick(write_broderick(Path(folder), (1,), (1,), 0.5, version)).sources()
        content = source.inputs[which].read_bytes()
        source.inputs[which].write_bytes(content[: int(kept * len(content))])
        with pytest.raises(DataError, match=source.inputs[which].name):
            source.load()
