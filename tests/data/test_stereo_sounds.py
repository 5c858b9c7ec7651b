"""Stereo, clipped and truncated sounds on their way into a store, and what `doctor` says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from eeg2speech.cli import main
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, RawRecording, Segment, Source
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.files.sounds import read_npz, sound_seconds
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.simulation.speech import read_speech
from eeg2speech.data.store.store import Description, Store
from eeg2speech.quality.sound_checks import check_audio
from tests.audio.sounds import clicks, talk
from tests.data.readers.bids_files import write_bids

SPEECH, OTHER, TRIGGER = talk(1, 3.0), talk(2, 3.0), clicks(3.0)


def dataset(root, sounds):
    """People who each hear one of the sounds, by file name."""
    write_bids(root, [f"{number:02d}" for number in range(1, len(sounds) + 1)], suffix=".edf")
    for number, (name, wave) in enumerate(sounds.items(), start=1):
        soundfile.write(root / "stimuli" / name, wave, 16_000)
        table = root / f"sub-{number:02d}" / "eeg" / f"sub-{number:02d}_task-listening_run-1_events.tsv"
        table.write_text(f"onset\tduration\tstim_file\n1.0\t3.0\t{name}\n")
    return root


def test_a_trigger_track_is_said_and_one_channel_can_be_taken(tmp_path, capsys, caplog):
    root = dataset(tmp_path / "ds", {"a.wav": np.stack([SPEECH, TRIGGER], 1), "b.wav": np.stack([OTHER, TRIGGER], 1)})
    assert main(["prepare", "bids", str(root), str(tmp_path / "mean")]) == 0
    told = caplog.messages[-1]
    assert "a.wav: two of its channels hold different sounds (left and right, corr" in told
    assert "(and 1 more of this kind)" in told
    capsys.readouterr()
    assert np.allclose(Store(tmp_path / "mean").audio("a"), (SPEECH + TRIGGER) / 2, atol=1e-4)
    assert main(["doctor", str(tmp_path / "mean"), "--coupling", "false", "--json", "true"]) == 0
    problems = [text for _, text in json.loads(capsys.readouterr().out)["problems"]]
    assert sum("hold different sounds" in text for text in problems) == 2
    assert not any(str(tmp_path) in text for text in problems)

    caplog.clear()
    assert main(["prepare", "bids", str(root), str(tmp_path / "left"), "--channel", "left"]) == 0
    assert not caplog.text
    store = Store(tmp_path / "left")
    assert np.allclose(store.audio("a_channel-left"), SPEECH, atol=1e-4)
    assert not any("different sounds" in problem.text for problem in check_audio(store)[1])
    assert main(["prepare", "bids", str(root), str(tmp_path / "left"), "--channel", "1"]) == 1
    assert "reader.channel" in capsys.readouterr().err


def test_rules_take_a_channel_for_each_ear(tmp_path):
    root = dataset(tmp_path / "ds", {"a.wav": np.stack([SPEECH, OTHER], 1), "b.wav": np.stack([SPEECH, OTHER], 1)})
    rules = [
        SoundRule("sub-01", "stimuli/a.wav", channel="left", duration=3.0, onset=1.0),
        SoundRule("sub-02", "stimuli/a.wav", channel="right", duration=3.0, onset=1.0),
    ]
    reader = Bids(root, sounds=rules)
    assert prepare_sources(reader.sources(), tmp_path / "s", reader.description()).errors == []
    store = Store(tmp_path / "s")
    assert store.stimuli == ["a_channel-left", "a_channel-right"]
    assert np.allclose(store.audio("a_channel-right"), OTHER, atol=1e-4)
    (told,) = [rule for rule in reader.description().settings["reader.sounds"] if rule["match"] == "sub-02"]
    assert told["channel"] == "right"
    plain = Bids(root, sounds=[SoundRule("sub-01", "stimuli/a.wav")]).description().settings
    assert "channel" not in plain["reader.sounds"][0]  # as in stores of before
    assert "reader.channel" not in plain


def test_a_channel_is_not_taken_for_the_mean_later(tmp_path):
    root = dataset(tmp_path / "ds", {"a.wav": np.stack([SPEECH, OTHER], 1), "b.wav": OTHER})
    rules = [
        SoundRule("sub-01", "stimuli/a.wav", channel="right", duration=3.0, onset=1.0),
        SoundRule("sub-02", "stimuli/a.wav", duration=3.0, onset=1.0),
    ]
    reader = Bids(root, sounds=rules)
    for subjects in (["01"], ["01", "02"]):
        part = Bids(root, sounds=rules, subjects=subjects)
        assert prepare_sources(part.sources(), tmp_path / "s", reader.description()).errors == []
    store = Store(tmp_path / "s")
    assert {s.recording[:6]: s.stimulus for s in store.segments} == {"sub-01": "a_channel-right", "sub-02": "a"}
    assert np.allclose(store.audio("a_channel-right"), OTHER, atol=1e-4)
    assert np.allclose(store.audio("a"), (SPEECH + OTHER) / 2, atol=1e-4)


def test_one_bad_sound_costs_its_recording_only(tmp_path, capsys):
    sounds = {"good.wav": SPEECH, "anti.wav": np.stack([OTHER, -OTHER], 1), "cut.wav": OTHER, "loud.wav": SPEECH}
    root = dataset(tmp_path / "ds", sounds)
    cut = root / "stimuli/cut.wav"
    cut.write_bytes(cut.read_bytes()[:40_000])
    soundfile.write(root / "stimuli/loud.wav", 32767 * SPEECH, 16_000, subtype="FLOAT")
    assert main(["prepare", "bids", str(root), str(tmp_path / "s")]) == 1
    told = capsys.readouterr().err
    assert "anti.wav: its 2 channels cancel each other" in told
    assert "cut.wav: cut short, 1.25 s of the 3.00 s in its header; download it again" in told
    assert "loud.wav: samples up to" in told
    assert [recording.subject for recording in Store(tmp_path / "s").recordings] == ["01"]
    assert "cut.wav: cut short" in (tmp_path / "s/dropped.tsv").read_text()


def test_clipping_is_said_once_by_prepare_and_by_doctor(tmp_path, caplog):
    hot = np.clip(8 * SPEECH, -1, 1)
    root = dataset(tmp_path / "ds", {"a.wav": hot, "b.wav": np.stack([hot, SPEECH], 1)})
    assert main(["prepare", "bids", str(root), str(tmp_path / "s")]) == 0
    assert "of the sound is clipped (and 1 more of this kind)" in caplog.messages[-1]
    lines = [problem.text for problem in check_audio(Store(tmp_path / "s"))[1] if "clipped" in problem.text]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (lambda: ((SPEECH * 32767).astype(np.int16), 16_000), ""),
        (lambda: (SPEECH.astype(np.float64), 16_000.3), ""),
        (lambda: (SPEECH * 32767, 16_000.0), "stimulus s0: samples up to"),
        (lambda: (np.stack([SPEECH, SPEECH], 1), 16_000.0), r"stimulus s0: its sound has the shape \(48000, 2\)"),
        (lambda: (SPEECH, 16.0), "stimulus s0: rate=16.0; give its samples per second"),
        (lambda: (SPEECH, float("nan")), "stimulus s0: rate=nan"),
    ],
)
def test_waveforms_of_any_reader_are_scaled_or_refused(tmp_path, sound, message):
    eeg = np.random.default_rng(0).normal(0, 2e-5, (4, 1000))
    channels = [Channel(name) for name in ("Fp1", "Cz", "T7", "Oz")]
    segments = [Segment("r", 1.0, 3.0, "s0", 0.0, "listening")]
    read = RawRecording(eeg, 100.0, channels, segments, stimuli={"s0": sound})
    sources = [Source("r", "01", "", "", (), lambda: read)]
    description = Description("x", "y", "CC0", "z", simulated=False, rate=100.0)
    if message:
        with pytest.raises(DataError, match=message):
            prepare_sources(sources, tmp_path / "s", description, Preprocessing(notch=None))
        return
    assert prepare_sources(sources, tmp_path / "s", description, Preprocessing(notch=None)).errors == []
    stored = Store(tmp_path / "s").audio("s0")[:40_000]
    assert np.corrcoef(stored, SPEECH[:40_000])[0, 1] > 0.5
    assert np.abs(stored).max() == pytest.approx(np.abs(SPEECH[:40_000]).max(), rel=0.2)


def test_archives_of_several_channels_are_examined_when_read_only(tmp_path, caplog):
    file = tmp_path / "a.npz"
    np.savez(file, audio=np.stack([SPEECH, TRIGGER]), fs=16_000)
    assert sound_seconds(file) == 3.0
    assert not caplog.text
    assert np.allclose(read_npz(file, "left")[0], SPEECH)
    assert not caplog.text
    assert np.allclose(read_npz(file)[0], (SPEECH + TRIGGER) / 2)
    assert "a.npz: two of its channels hold different sounds" in caplog.text


def test_sounds_of_the_simulation_take_a_channel_too(tmp_path, capsys):
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.stack([SPEECH, TRIGGER], 1), 16_000)
    assert np.allclose(read_speech(folder, channel="left")["a"].wave, SPEECH, atol=1e-4)
    soundfile.write(folder / "b.wav", np.stack([OTHER, -OTHER], 1), 16_000)
    assert main(["prepare", "demo", str(folder), str(tmp_path / "s")]) == 1
    assert "b.wav: its 2 channels cancel each other" in capsys.readouterr().err


def test_comments_of_sounds_cannot_disturb_a_terminal(tmp_path):
    root = dataset(tmp_path / "ds", {"a.wav": SPEECH})
    assert main(["prepare", "bids", str(root), str(tmp_path / "s")]) == 0
    file = Store(tmp_path / "s").audio_file("a")
    with soundfile.SoundFile(file, "w", 16_000, 1, "PCM_16", format="FLAC") as sound:
        sound.comment = "\x1b[2Jgone" + "x" * 5000
        sound.write(SPEECH)
    (text,) = [problem.text for problem in check_audio(Store(tmp_path / "s"))[1]]
    assert text.startswith("a: [2Jgone")
    assert len(text) < 600
