from __future__ import annotations

import pickle

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from karaone_files import ELECTRODES, RATE, karaone_signal, phases, write_inds, write_karaone

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.readers.karaone import KaraOne


def load(root, **options):
    (source,) = KaraOne(root, **options).sources()
    return pickle.loads(pickle.dumps(source.load))()


@pytest.fixture
def root(tmp_path):
    return write_karaone(tmp_path / "kara", cleaned=True)


@pytest.mark.parametrize("cleaned", [False, True])
def test_cnt_and_set_give_volts_at_standard_positions(root, cleaned):
    raw = load(root, cleaned=cleaned)
    assert raw.rate == RATE
    assert [channel.name for channel in raw.channels] == list(ELECTRODES)
    expected = karaone_signal(4)[: len(ELECTRODES)]
    np.testing.assert_allclose(raw.eeg[0:10, 0 : expected.shape[1]] * 1e6, expected, atol=1e-4)
    np.testing.assert_allclose(raw.eeg[2:3, 1234:1240] * 1e6, expected[2:3, 1234:1240], atol=1e-4)
    place = {channel.name: channel for channel in raw.channels}
    assert place["C3"].x < -0.04 < 0.04 < place["C4"].x
    assert place["FPZ"].y > 0.08


def test_thinking_and_speaking_share_words_and_follow_the_table(root):
    raw = load(root)
    assert [(s.condition, s.label) for s in raw.segments] == [
        pair for label in ("/iy/", "gnaw", "/tiy/", "pat") for pair in (("imagined", label), ("overt", label))
    ]
    for trial in range(4):
        thought, said = raw.segments[2 * trial : 2 * trial + 2]
        assert thought.stimulus == said.stimulus == f"MM05_{trial:03d}"
        assert thought.onset == pytest.approx((phases(trial)["thinking"][0] - 1) / RATE)
        assert said.onset == pytest.approx((phases(trial)["speaking"][0] - 1) / RATE)
        longest = 0.7 if trial % 2 else 1.5
        assert (thought.duration, said.duration) == pytest.approx((min(1.2, longest), min(0.9, longest)))
    assert [s.text for s in raw.segments[:4]] == ["", "", "gnaw", "gnaw"]
    assert raw.stimuli["MM05_002"].name == "2.wav"


def test_other_phases_have_no_sound(root):
    raw = load(root, phases=["clearing", "stimulus"])
    assert [(s.condition, s.stimulus) for s in raw.segments[:2]] == [("rest", ""), ("listening", "")]
    assert raw.segments[1].duration == pytest.approx(0.5)
    assert not raw.stimuli
    with pytest.raises(ConfigError, match="'speakin' is unknown; choose from clearing"):
        KaraOne(root, phases=["speakin"]).sources()


def test_doubled_and_missing_entries_cost_their_trial_only(root, caplog):
    of = [phases(trial) for trial in range(4)]
    mixed = [of[0]["stimulus"], of[0]["speaking"], of[1]["stimulus"], of[1]["clearing"], of[2]["stimulus"]]
    mixed += [of[2]["speaking"], of[2]["speaking"], of[3]["stimulus"], of[3]["speaking"]]
    mixed += [(of[0]["speaking"][0] + 5, of[0]["speaking"][1])]  # which of the two is it?
    write_inds(root / "data" / "MM05" / "epoch_inds.mat", 4, mixed)
    raw = load(root, phases=["speaking"])
    assert [s.stimulus for s in raw.segments] == ["MM05_002", "MM05_003"]
    assert [s.onset for s in raw.segments] == pytest.approx([(of[k]["speaking"][0] - 1) / RATE for k in (2, 3)])
    assert "2 of 4 trials are left out: speaking has no usable samples" in caplog.text
    assert [lost.name for lost in raw.lost if not lost.missing] == ["trial 1", "trial 2"]


def test_missing_sounds_and_trials_beyond_the_recording_are_left_out(root, caplog):
    folder = root / "data" / "MM05"
    (folder / "kinect_data" / "1.wav").unlink()
    write_inds(folder / "epoch_inds.mat", 5)
    (folder / "kinect_data" / "labels.txt").write_text("/iy/\ngnaw\n/tiy/\npat\npat\n")
    soundfile.write(folder / "kinect_data" / "4.wav", np.zeros(1600), 16000)
    raw = load(root)
    assert sorted(raw.stimuli) == ["MM05_000", "MM05_002", "MM05_003"]
    assert "1 of 5 trials are left out: thinking without its sound" in caplog.text
    assert {(lost.name, lost.reason, lost.missing) for lost in raw.lost} == {
        ("trial 2", "thinking without its sound", True),
        ("trial 2", "speaking without its sound", True),
        ("trial 5", "thinking has no usable samples", False),
        ("trial 5", "speaking has no usable samples", False),
    }
    for sound in (folder / "kinect_data").glob("*.wav"):
        sound.unlink()
    assert [(s.stimulus, s.condition) for s in load(root).segments] == [("", "rest")]


def test_labels_come_from_features_without_text_and_must_fit(root):
    text = root / "data" / "MM05" / "kinect_data" / "labels.txt"
    text.write_text("/iy/\ngnaw\n")
    with pytest.raises(DataError, match=r"MM05: 2 labels for 4 trials of epoch_inds\.mat; leave MM05 out"):
        load(root)
    text.unlink()
    assert [s.label for s in load(root).segments[::2]] == ["/iy/", "gnaw", "/tiy/", "pat"]
    (root / "data" / "MM05" / "all_features_simple.mat").unlink()
    with pytest.raises(DataError, match=r"labels\.txt: missing"):
        load(root)


def test_participants_at_any_depth_and_what_they_lack(tmp_path):
    root = write_karaone(tmp_path / "kara", subjects=("P02", "MM05"), trials=2)
    sources = KaraOne(root).sources()
    assert [s.recording for s in sources] == ["MM05", "P02"]
    assert {f.name for f in sources[0].inputs} == {
        *("Acquisition 232 Data.cnt", "epoch_inds.mat", "labels.txt", "0.wav", "1.wav")
    }
    (root / "data" / "P02" / "Acquisition 232 Data.cnt").unlink()
    lacking = KaraOne(root).sources()[1]
    with pytest.raises(DataError, match=r"P02: holds no \.cnt; unpack the archive again"):
        lacking.load()
    with pytest.raises(DataError, match=r"beside a recording \(\.cnt, or \.set if cleaned\)"):
        KaraOne(root, cleaned=True).sources()
    with pytest.raises(DataError, match="no participant 'MM99'; it holds MM05, P02"):
        KaraOne(root, subjects=["MM99"]).sources()
    with pytest.raises(DataError, match=r"holds no epoch_inds\.mat"):
        KaraOne(root / "data" / "P02" / "kinect_data").sources()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_files_cut_short_anywhere_raise_data_errors_only(root, data):
    folder = root / "data" / "MM05"
    name = data.draw(st.sampled_from(["Acquisition 232 Data.cnt", "Acquisition 232 Data.set", "epoch_inds.mat"]))
    content = (folder / name).read_bytes()
    keep = data.draw(st.integers(0, len(content) - 20))
    (folder / name).write_bytes(content[:keep])
    try:
        with pytest.raises(DataError, match="MM05"):
            load(root, cleaned=name.endswith(".set"))
    finally:
        (folder / name).write_bytes(content)
