from __future__ import annotations

import pickle

import numpy as np
import pytest
from eav_files import RATE, eav_signal, write_eav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.readers.eav import ELECTRODES, Eav


def load(root, subject=1, **options):
    (source,) = Eav(root, subjects=[subject], **options).sources()
    return pickle.loads(pickle.dumps(source.load))()


@pytest.fixture
def root(tmp_path):
    return write_eav(tmp_path / "eav")


@pytest.mark.parametrize("variable", ["seg1", "seg"])
@pytest.mark.parametrize("hdf5", [False, True])
def test_trials_follow_each_other_in_volts_with_breaks(tmp_path, hdf5, variable):
    raw = load(write_eav(tmp_path / "eav", subjects=(1,), hdf5=hdf5, variable=variable))
    expected = eav_signal(8, 1000, 1)
    assert raw.rate == RATE
    assert raw.eeg.shape == (30, 8000)
    np.testing.assert_allclose(raw.eeg[:, 3000:4000] * 1e6, expected[:, :, 3].T, rtol=1e-5)
    assert raw.breaks == list(range(1000, 8000, 1000))
    assert [channel.name for channel in raw.channels] == list(ELECTRODES)
    assert np.isfinite([[c.x, c.y, c.z] for c in raw.channels]).all()


def test_speech_has_the_sound_whose_name_begins_with_its_trial(root):
    raw = load(root, 2)
    assert [(s.onset, s.duration, s.stimulus, s.label) for s in raw.segments] == [
        (2.0, 2.0, "subject02_002", "neutral"),
        (6.0, 2.0, "subject02_004", "sadness"),
        (10.0, 2.0, "subject02_006", "anger"),
        (14.0, 2.0, "subject02_008", "happiness"),
    ]
    assert {s.condition for s in raw.segments} == {"overt"}
    assert raw.stimuli["subject02_004"].name == "004_Trial_02_Speaking_Sadness_aud.wav"


def test_listening_is_read_when_asked_for_and_has_no_sound(root):
    raw = load(root, tasks=["listening", "speaking"])
    assert [(s.condition, s.stimulus) for s in raw.segments[:2]] == [("listening", ""), ("overt", "subject01_002")]
    with pytest.raises(ConfigError, match="'talking' is unknown; choose from listening, speaking"):
        Eav(root, tasks=["talking"]).sources()


def test_muscles_are_warned_of(root, caplog):
    assert [s.recording for s in Eav(root).sources()] == ["subject01", "subject02"]
    assert "a decoder may use muscle activity" in caplog.text
    assert "muscle" in Eav.__doc__


def test_a_contradicting_sound_is_refused_and_a_missing_one_left_out(root, caplog):
    folder = root / "subject1" / "Audio"
    (folder / "002_Trial_02_Speaking_Neutral_Aud.wav").unlink()
    raw = load(root)
    assert [s.stimulus for s in raw.segments] == ["subject01_004", "subject01_006", "subject01_008"]
    assert [(lost.what, lost.name, lost.missing) for lost in raw.lost] == [("segment", "trial 2", True)]
    assert "1 trials of speaking have no sound" in caplog.text
    sound = folder / "004_Trial_02_Speaking_Sadness_aud.wav"
    sound.rename(folder / "004_Trial_02_Speaking_Anger_aud.wav")
    with pytest.raises(DataError, match=r"Anger_aud\.wav: the label table has speaking Sadness there"):
        load(root)
    (folder / "004_Trial_02_Speaking_Anger_aud.wav").rename(folder / "044_Trial_02_Speaking_Anger_aud.wav")
    with pytest.raises(DataError, match="has only 8 trials there"):
        load(root)


def test_tables_of_another_shape_are_refused(root):
    folder = root / "subject1" / "EEG"
    savemat(folder / "subject1_eeg_label.mat", {"label": np.ones((10, 8))})
    with pytest.raises(DataError, match=r"subject1_eeg_label\.mat: label of \(10, 8\) is not one-hot"):
        load(root)
    savemat(folder / "subject1_eeg.mat", {"seg2": np.ones((30, 8))})
    with pytest.raises(DataError, match=r"subject1_eeg\.mat: holds seg2 \(30, 8\), not seg1"):
        load(root)
    (folder / "subject1_eeg.mat").unlink()
    with pytest.raises(DataError, match=r"subject1_eeg\.mat: cannot be read"):
        load(root)
    assert load(root, 2).segments  # the others are as they were


def test_folders_that_are_not_eav_say_so(root, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Eav(tmp_path / "nowhere").sources()
    with pytest.raises(DataError, match="holds no folders subject1"):
        Eav(root / "subject1").sources()
    with pytest.raises(DataError, match="no participant 'subject7'; it holds subject01, subject02"):
        Eav(root, subjects=["subject7"]).sources()


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 0.999), end=st.sampled_from(["eeg.mat", "eeg_label.mat"]))
def test_files_cut_short_anywhere_raise_data_errors_only(root, keep, end):
    file = root / "subject1" / "EEG" / f"subject1_{end}"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    try:
        with pytest.raises(DataError, match="subject1_eeg"):
            load(root)
    finally:
        file.write_bytes(content)
