from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_words_files import LEAD, PAUSE, RATE, SHOWN, SOUND_RATE, WORDS, seeg_signal, sound_wave, write_single_words

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.readers.single_words import COMMISSURE, SingleWords

WORD = SHOWN + PAUSE


def load(root, **options):
    (source,) = SingleWords(root, subjects=[1], **options).sources()
    return pickle.loads(pickle.dumps(source.load))()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_single_words(tmp_path_factory.mktemp("words") / "SingleWordProductionDutch-iBIDS")


def test_electrodes_are_in_volts_and_in_head_coordinates(root):
    raw = load(root)
    samples = round((LEAD + len(WORDS) * WORD) * RATE)
    assert raw.rate == RATE
    assert raw.eeg.shape == (8, samples)
    np.testing.assert_allclose(raw.eeg[:, :] * 1e6, seeg_signal(8, samples, 1).T, rtol=1e-5)
    assert [(c.name, c.type) for c in raw.channels[:2]] == [("LA1", "seeg"), ("LA2", "seeg")]
    x, y, z = COMMISSURE
    assert (raw.channels[1].x, raw.channels[1].y, raw.channels[1].z) == pytest.approx((x - 0.0235, y - 0.01, z + 0.005))


def test_a_run_is_cut_into_stimuli_of_several_words(root):
    raw = load(root, parts=3)
    assert [(s.stimulus, s.text, s.label) for s in raw.segments] == [
        ("sub-01_part-001", "gebruik de", ""),
        ("sub-01_part-002", "één vier", ""),
        ("sub-01_part-003", "tussen hand", ""),
    ]
    assert [s.onset for s in raw.segments] == pytest.approx([LEAD, LEAD + 2 * WORD, LEAD + 4 * WORD], abs=1e-3)
    assert sum(s.duration for s in raw.segments) == pytest.approx(len(WORDS) * WORD, abs=1e-3)
    assert {(s.offset, s.condition) for s in raw.segments} == {(0.0, "overt")}


def test_single_words_have_labels(root):
    raw = load(root, parts=0)
    assert [s.label for s in raw.segments] == [s.text for s in raw.segments] == list(WORDS)
    assert raw.segments[3].stimulus == "sub-01_word-004"
    assert raw.segments[3].duration == pytest.approx(WORD, abs=1e-3)
    assert len(load(root, parts=50).segments) == len(WORDS)
    with pytest.raises(ConfigError, match="parts=-1 must be 0 or more"):
        SingleWords(root, parts=-1).sources()


@pytest.mark.parametrize("rates", [False, True])
@pytest.mark.parametrize("lead", [0.0, 0.4, -0.9])
def test_the_sound_of_a_part_is_what_was_said_then(tmp_path, lead, rates):
    root = write_single_words(tmp_path / "words", subjects=(1,), sound_lead=lead, rates=rates)
    raw = load(root, parts=2)
    wave = sound_wave(round((LEAD + len(WORDS) * WORD + lead) * SOUND_RATE)) / 3000
    for segment in raw.segments:
        sound, rate = pickle.loads(pickle.dumps(raw.stimuli[segment.stimulus]))()
        first = round((segment.onset + lead) * SOUND_RATE)
        assert rate == SOUND_RATE
        assert sound.dtype == np.float32
        assert len(sound) / rate == pytest.approx(segment.duration, abs=1e-4)
        np.testing.assert_allclose(sound, wave[first : first + len(sound)], atol=2e-3)
    assert raw.segments[0].onset == pytest.approx(max(LEAD, -lead), abs=1e-3)


def test_participants_and_their_files(root):
    sources = SingleWords(root.parent).sources()  # the folder above will do
    assert [(s.recording, s.subject) for s in sources] == [("sub-01", "01"), ("sub-02", "02")]
    assert [f.name.split("_", 2)[2] for f in sources[0].inputs] == [
        "ieeg.nwb",
        "channels.tsv",
        "space-ACPC_electrodes.tsv",
    ]
    with pytest.raises(DataError, match="no participant '3'; it holds 01, 02"):
        SingleWords(root, subjects=[3]).sources()
    with pytest.raises(DataError, match="holds no sub-01/ieeg"):
        SingleWords(root / "sub-01").sources()


def test_unknown_positions_are_said_and_kept_unknown(tmp_path, caplog):
    root = write_single_words(tmp_path / "words", subjects=(1,), positions=False)
    assert np.isnan([channel.x for channel in load(root).channels]).all()
    assert "no position of LA1, LA2" in caplog.text


def test_channels_that_do_not_fit_are_refused(tmp_path):
    root = write_single_words(tmp_path / "words", subjects=(1,), words=WORDS[:2])
    table = root / "sub-01" / "ieeg" / "sub-01_task-wordProduction_channels.tsv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(DataError, match=r"channels\.tsv: 7 channels, but sub-01_.*nwb holds 8"):
        load(root)
    table.write_text("label\nLA1\n")
    with pytest.raises(DataError, match=r"channels\.tsv: no column name"):
        load(root)


def test_files_without_a_series_or_with_another_rate_are_refused(tmp_path):
    import h5py

    root = write_single_words(tmp_path / "words", subjects=(1,), words=WORDS[:2])
    file = root / "sub-01" / "ieeg" / "sub-01_task-wordProduction_ieeg.nwb"
    with h5py.File(file, "r+") as stream:
        stream["acquisition/iEEG/timestamps"][:] *= 2
    with pytest.raises(DataError, match="iEEG has 512 samples per second, not 1024"):
        load(root)
    with h5py.File(file, "r+") as stream:
        stream["acquisition/iEEG/timestamps"][:] /= 2
        del stream["acquisition/Audio"]
    with pytest.raises(DataError, match=r"nwb: holds Stimulus, iEEG, no Audio|nwb: holds iEEG, Stimulus, no Audio"):
        load(root)


def test_the_missing_library_is_named(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(ConfigError, match=r"reading NWB needs pynwb; pip install eeg2speech\[nwb\]"):
        load(root)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 0.99))
def test_files_cut_short_anywhere_raise_data_errors_only(root, keep):
    file = root / "sub-01" / "ieeg" / "sub-01_task-wordProduction_ieeg.nwb"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    try:
        with pytest.raises(DataError, match=r"_ieeg\.nwb"):
            load(root)
    finally:
        file.write_bytes(content)


def test_a_run_that_shows_no_words_is_kept_and_named(tmp_path, caplog):
    raw = load(write_single_words(tmp_path / "words", subjects=(1,), words=("", "+")))
    assert [(s.onset, s.stimulus, s.condition) for s in raw.segments] == [(0.0, "", "rest")]
    assert [(lost.what, lost.reason) for lost in raw.lost] == [("sound", "no words are shown")]
    assert any("shows no words while sound and EEG were recorded" in message for message in caplog.messages)
