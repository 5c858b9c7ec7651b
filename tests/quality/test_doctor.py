from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from eeg2speech.cli import main
from eeg2speech.core.tables import read_table, write_table
from eeg2speech.core.types import Channel, Recording, Segment
from eeg2speech.data.files.notices import kind_of
from eeg2speech.data.store.store import Description, Store, StoredChannel
from eeg2speech.data.store.writer import StoreWriter
from eeg2speech.quality.doctor import examine
from eeg2speech.quality.spectrum import describe, power_spectrum, sparkline
from tests.data.coupled_stores import coupled_store

RATE, SECONDS = 100.0, 60


def eeg(seed, channels=4, alpha=10.0):
    """1/f noise with an alpha rhythm of 10 Hz, in microvolts."""
    rng = np.random.default_rng(seed)
    hertz = np.fft.rfftfreq(int(SECONDS * RATE), 1 / RATE)
    shape = 1 / np.maximum(hertz, 0.5)
    noise = np.fft.irfft(shape * np.exp(2j * np.pi * rng.random((channels, hertz.size))))
    rhythm = np.sin(2 * np.pi * 10 * np.arange(noise.shape[1]) / RATE)
    return (10 * noise / noise.std() + alpha * rhythm).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    """Two subjects, two sounds of 5 s, listening."""
    writer = StoreWriter(tmp_path / "store", Description("FEIS", "here", "ODC-BY 1.0", "nobody", False, RATE))
    rng = np.random.default_rng(0)
    for stimulus in ("s1", "s2"):
        writer.add_audio(stimulus, rng.uniform(-0.5, 0.5, 5 * 16000).astype(np.float32))
    for number, subject in enumerate(("01", "02")):
        name = f"sub-{subject}"
        segments = [
            Segment(name, 1.0, 5.0, "s1", 0.0, "listening", "a"),
            Segment(name, 10.0, 5.0, "s2", 0.0, "imagined", "b"),
            Segment(name, 50.0, 5.0, "s2", 0.0, "imagined", "b"),
        ]
        channels = [Channel(c, "eeg", 0.01 * i, 0.0, 0.1) for i, c in enumerate(("Fz", "Cz", "Pz", "Oz"))]
        writer.add(name, subject, "", "", eeg(number), channels, segments, {})
    return writer.finish()


def edit(store, table, row_type, change):
    """Rewrite one of a store's tables."""
    rows = read_table(store / table, row_type)
    write_table(store / table, row_type, change(rows))


def problems(store, severity):
    return [problem.text for problem in examine(Store(store)).problems if problem.severity == severity]


def test_a_sound_store_has_no_problems_and_its_facts_are_counted(store):
    report = examine(Store(store))
    assert report.problems == []
    assert not report.failed
    facts = report.facts
    assert facts.subjects == ["01", "02"]
    assert facts.hours == pytest.approx(120 / 3600)
    assert facts.segment_hours == pytest.approx(30 / 3600)
    assert facts.channels == {4: 2}
    assert facts.montages == 1
    assert (facts.conditions["imagined"].segments, facts.labels["a"].segments) == (4, 2)
    assert (facts.stimuli, facts.sounds) == (2, 2)
    assert facts.audio_hours == pytest.approx(10 / 3600)
    assert facts.shapes["01"].alpha_hertz == pytest.approx(10, abs=0.3)
    assert facts.shapes["01"].alpha_decibels > 10
    assert facts.shapes["01"].slope == pytest.approx(-2, abs=0.4)
    assert facts.amplitude["01"] == pytest.approx(np.median(np.abs(eeg(0))), rel=0.2)


def test_segments_are_checked(store):
    def change(rows):
        rows[0] = replace(rows[0], duration=600.0)
        rows[1] = replace(rows[1], condition="asleep")
        rows[2] = replace(rows[2], onset=12.0)
        rows[3] = replace(rows[3], duration=7.0)
        return rows

    edit(store, "segments.tsv", Segment, change)
    errors, warnings = problems(store, "error"), problems(store, "warning")
    assert any("sub-01: segment at 1 s of 600 s lies outside the recording of 60 s" in text for text in errors)
    assert any("condition 'asleep' is none of listening" in text for text in errors)
    assert any("segment at 12 s overlaps the one at 10 s" in text for text in warnings)
    assert any("sub-02: 1 segments are longer than their sound; the first, at 1 s, by 2.00 s" in w for w in warnings)


def test_signals_are_checked(store):
    signal = eeg(0)
    signal[1, 100:103] = np.nan
    signal[2] = 7.0
    np.save(store / "eeg" / "sub-01.npy", signal)
    (store / "eeg" / "sub-02.npy").unlink()
    errors = problems(store, "error")
    assert "sub-01: row 1 holds 3 NaN or infinite samples" in errors
    assert any("sub-02.npy: cannot be mapped" in text for text in errors)
    assert "sub-01: row 2 is flat" in problems(store, "warning")


def test_a_signal_of_another_shape_is_an_error(store):
    np.save(store / "eeg" / "sub-01.npy", eeg(0)[:, :-1])
    assert any("recordings.tsv states float32 (4, 6000)" in text for text in problems(store, "error"))


def test_channels_are_checked(store):
    def change(rows):
        rows[0] = replace(rows[0], x=float("nan"))
        rows[1] = replace(rows[1], status="bad")
        return rows[:-1]

    edit(store, "channels.tsv", StoredChannel, change)
    assert "sub-01: no position of Fz" in problems(store, "warning")
    assert any("sub-02: channels.tsv names 3 channels" in text for text in problems(store, "error"))
    assert examine(Store(store)).facts.bad == {"sub-01": ["Cz"]}
    assert examine(Store(store)).facts.montages == 2


def test_a_lost_sound_is_an_error_no_sounds_a_warning(store):
    (store / "audio" / "s1.flac").unlink()
    assert any("sub-01: no sound for 1 stimuli (s1)" in text for text in problems(store, "error"))
    (store / "audio" / "s2.flac").unlink()
    assert problems(store, "error") == []
    assert any("sub-01: no sound for 2 stimuli (s1, s2); it serves stage 1" in t for t in problems(store, "warning"))


def test_sounds_are_checked(store):
    file = store / "audio" / "s1.flac"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert any("s1" in text for text in problems(store, "error"))
    soundfile.write(file, np.clip(np.random.default_rng(0).normal(0, 1, 80000), -1, 1), 16000)
    assert any(text.startswith("s1: ") and "clipped" in text for text in problems(store, "warning"))
    soundfile.write(file, np.zeros(44100), 44100)
    assert any("44100 Hz, 1 channels, not 16000 Hz mono" in text for text in problems(store, "error"))
    file.write_bytes((store / "audio" / "s2.flac").read_bytes())
    assert any("s1, s2 are the same sound" in text for text in problems(store, "error"))


def test_files_that_belong_to_nothing_are_named(store):
    (store / "eeg" / "sub-03.npy").touch()
    (store / "notes.txt").touch()
    edit(store, "recordings.tsv", Recording, lambda rows: rows[:1])
    warnings = problems(store, "warning")
    for name in ("eeg/sub-02.npy", "eeg/sub-03.npy", "notes.txt"):
        assert f"{name}: belongs to no recording or stimulus; remove it" in warnings


def test_a_hum_is_reported_with_its_frequency(store):
    hum = 20 * np.sin(2 * np.pi * 28 * np.arange(SECONDS * RATE) / RATE)
    np.save(store / "eeg" / "sub-01.npy", (eeg(0) + hum).astype(np.float32))
    assert any("subject 01: peak of" in w and "at 28 Hz" in w for w in problems(store, "warning"))


def test_spectra_of_joined_epochs_do_not_see_the_joints():
    rng = np.random.default_rng(0)
    white = rng.normal(size=(3, 6000)).astype(np.float32)
    steps = np.repeat(rng.normal(0, 100, 60), 100).astype(np.float32)
    segments = [Segment("r", float(onset), 1.0, "s", 0.0, "rest") for onset in range(60)]
    power = power_spectrum(white + steps, RATE, 100, segments)
    assert power is not None
    np.testing.assert_allclose(power[3:-1], 0.02, rtol=0.5)  # unit variance over 50 Hz
    assert power_spectrum(white[:, :50], RATE, 100, []) is None


def test_a_spectrum_is_described_despite_a_hum():
    hertz = np.arange(0, 50.5, 0.5)
    power = 100 * np.maximum(hertz, 0.5) ** -1.5
    power[hertz == 11] *= 100
    power[hertz == 28] *= 1000
    shape = describe(hertz, power, 40.0)
    assert shape.slope == pytest.approx(-1.5, abs=0.05)
    assert (shape.alpha_hertz, shape.peak_hertz) == (11, 28)
    assert shape.alpha_decibels == pytest.approx(20, abs=0.5)
    assert np.isnan(describe(hertz, np.zeros_like(hertz), 40.0).slope)
    line = sparkline(hertz, power)
    assert len(line) == 40
    assert line[27] == "█"


def test_the_command_prints_tables_saves_a_picture_and_returns_a_status(store, tmp_path, capsys):
    assert main(["doctor", str(store), "--psd", str(tmp_path / "new" / "psd.png")]) == 0
    printed = capsys.readouterr().out
    for text in ("FEIS", "ODC-BY 1.0", "4 (2 recordings), one montage", "listening", "10 Hz", "No problems found"):
        assert text in printed
    assert "SIMULATED" not in printed
    assert (tmp_path / "new" / "psd.png").read_bytes().startswith(b"\x89PNG")
    (store / "eeg" / "sub-02.npy").unlink()
    assert main(["doctor", str(store)]) == 1
    assert "1 errors, 0 warnings" in capsys.readouterr().out


def test_the_command_marks_simulated_eeg_and_prints_json(store, capsys):
    content = json.loads((store / "dataset.json").read_text())
    (store / "dataset.json").write_text(json.dumps(content | {"simulated": True}))
    assert main(["doctor", str(store)]) == 0
    assert "SIMULATED" in capsys.readouterr().out
    assert main(["doctor", str(store), "--json", "true"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["facts"]["simulated"] is True
    assert report["problems"] == []


def test_a_store_of_tiny_recordings_is_examined(tmp_path):
    writer = StoreWriter(tmp_path / "store", Description("tiny", "here", "CC0", "nobody", False, RATE))
    writer.add("r", "01", "", "", np.zeros((1, 3), np.float32), [Channel("Cz")], [], {})
    assert main(["doctor", str(writer.finish()), "--psd", str(tmp_path / "psd.pdf")]) == 0


def test_wrong_arguments_are_one_line(store, tmp_path, capsys):
    assert main(["doctor", str(tmp_path)]) == 1
    assert "not a prepared store" in capsys.readouterr().err
    assert main(["doctor", str(store), "--psd", "picture.bmp"]) == 1
    assert "psd=picture.bmp" in capsys.readouterr().err


def speech(seconds, seed=0):
    """Noise whose loudness rises and falls as in speech."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0.02, 1.0, round(seconds * 5)), 3200)
    return (0.3 * loud * rng.standard_normal(loud.size)).clip(-1, 1).astype(np.float32)


def store_of_sounds(root, sounds, durations=None):
    """One recording in which each sound is heard once."""
    writer = StoreWriter(root, Description("sounds", "here", "CC0", "nobody", False, RATE))
    segments, at = [], 1.0
    for name, wave in sounds.items():
        writer.add_audio(name, wave)
        seconds = (durations or {}).get(name, len(wave) / 16000)
        segments.append(Segment("r", at, seconds, name, 0.0, "listening"))
        at += seconds + 1
    signal = np.tile(eeg(0), (1, int(at // SECONDS) + 1))
    channels = [Channel(c, "eeg", 0.01 * i, 0.0, 0.1) for i, c in enumerate(("Fz", "Cz", "Pz", "Oz"))]
    writer.add("r", "01", "", "", signal, channels, segments, {})
    return writer.finish()


@pytest.mark.parametrize(
    ("seconds", "warned"), [(40.0, False), (40.02, False), (40.1, True), (39.8, True), (20.0, False)]
)
def test_clocks_that_differ_are_reported_in_parts_per_million(tmp_path, seconds, warned):
    found = problems(store_of_sounds(tmp_path / "store", {"a": speech(40)}, {"a": seconds}), "warning")
    assert any("ppm" in text for text in found) is warned
    if warned:
        (text,) = [text for text in found if "ppm" in text]
        assert f"{abs(seconds / 40 - 1) * 1e6:.0f} ppm {'longer' if seconds > 40 else 'shorter'}" in text


def test_a_copy_of_a_sound_is_named_despite_gain_and_trimming(tmp_path):
    one = speech(20)
    sounds = {
        "a": one,
        "b": speech(20, 1),
        "c": 0.4 * one[round(1.23 * 16000) :],
        "d": speech(20, 2),
        "e": one[: 16000 * 5],
    }
    found = [text for text in problems(store_of_sounds(tmp_path / "store", sounds), "warning") if "alike" in text]
    (text,) = found
    assert text.startswith("a and c sound alike")
    assert "starts 1.2 s later" in text


def test_a_silent_sound_is_named(tmp_path):
    found = problems(store_of_sounds(tmp_path / "store", {"a": np.zeros(16000, np.float32), "b": speech(1)}), "warning")
    assert "a: the sound is silent; nothing can be learned from it" in found
    assert not any(text.startswith("b:") for text in found)


def test_the_same_eeg_under_two_ids_is_an_error(store):
    (store / "eeg" / "sub-02.npy").write_bytes((store / "eeg" / "sub-01.npy").read_bytes())
    assert any(text.startswith("sub-01, sub-02 hold the same EEG") for text in problems(store, "error"))


def test_channels_in_another_order_are_reported(store):
    edit(store, "channels.tsv", StoredChannel, lambda rows: rows[:4] + rows[:3:-1])
    assert any(
        "1 recordings have the channels of sub-01 in another order, first sub-02" in w
        for w in problems(store, "warning")
    )


@pytest.mark.parametrize("factor", [1e-6, 1e3])
def test_an_amplitude_that_no_eeg_has_is_reported(store, factor):
    np.save(store / "eeg" / "sub-01.npy", (eeg(0) * factor).astype(np.float32))
    (text,) = [text for text in problems(store, "warning") if "unit" in text]
    assert text.startswith("subject 01: median amplitude of")


def test_published_envelopes_stand_in_for_sounds(tmp_path):
    store = coupled_store(tmp_path / "store")
    report = examine(store)
    assert not report.failed
    assert any("4 stimuli (s0, s1, s2, ...), only envelopes; it serves stage 1" in p.text for p in report.problems)
    assert not any("belongs to no" in problem.text for problem in report.problems)
    np.save(store.root / "envelopes" / "s0.npy", np.zeros((3, 3)))
    assert any("s0.npy" in text for text in problems(store.root, "error"))


def test_the_command_reports_the_coupling_of_eeg_and_sound(tmp_path, capsys):
    root = coupled_store(tmp_path / "store", subjects=2).root
    assert main(["doctor", str(root)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("coupling found") == 3
    assert "2 of 2 subjects by themselves" in printed
    assert main(["doctor", str(root), "--json", "true"]) == 0
    found = json.loads(capsys.readouterr().out)["coupling"]
    assert [one["verdict"] for one in found["subjects"]] == ["coupling found"] * 2
    assert found["overall"][0]["p"] < 0.01 < found["overall"][0]["null_95"]
    assert main(["doctor", str(root), "--coupling", "false"]) == 0
    assert "coupling" not in capsys.readouterr().out.lower()


def test_no_coupling_is_a_warning_that_leaves_the_status_alone(tmp_path, capsys):
    root = coupled_store(tmp_path / "store", moved=4.0, seconds=25.0).root
    assert main(["doctor", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "warning: listening: no coupling of EEG and sound" in printed
    assert main(["doctor", str(coupled_store(tmp_path / "short", seconds=7.0).root)]) == 0
    assert "Not enough sound to test the coupling" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--minutes", "0.1"], ["--html", "page.pdf"]])
def test_options_that_cannot_be_met_are_one_line(store, wrong, capsys):
    assert main(["doctor", str(store), *wrong]) == 1
    assert f"{wrong[0][2:]}={wrong[1]}" in capsys.readouterr().err


def test_problems_of_one_kind_are_one_line_with_a_count(tmp_path, capsys):
    description = Description("envelopes", "here", "CC0", "nobody", False, RATE)
    writer = StoreWriter(tmp_path / "store", description)
    signal = eeg(0)[:, :1000]
    signal[2] = 0
    for number in range(90):
        name = f"sub-{number:02d}"
        segments = [Segment(name, 0.0, 9.0, "story", 0.0, "listening")]
        channels = [Channel(c, "eeg", 0.01 * i, 0.0, 0.1) for i, c in enumerate(("Fz", "Cz", "Pz", "Oz"))]
        writer.add(name, f"{number:02d}", "", "", signal * (1 + number / 100), channels, segments, {})
    writer.add_envelope("story", np.ones(1000, np.float32))
    store = writer.finish()
    assert main(["doctor", str(store), "--coupling", "false", "--html", str(tmp_path / "page.html")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("0 errors, 180 warnings") + 1 :] == [
        "warning: sub-00: row 2 is flat (and 89 more of this kind)",
        "warning: sub-00: no sound for 1 stimuli (story), only envelopes; it serves stage 1 only (and 89 more of this "
        "kind)",
        "  --json lists them all",
    ]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("row 2 is flat") == 1
    assert main(["doctor", str(store), "--coupling", "false", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 180


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sub-01: row 3 is flat", "sub-02: row 11 is flat", True),
        ("sub-01: segment at 1.5 s of 3 s lies outside", "a: segment at 1e-05 s of -3 s lies outside", True),
        ("a: no sound for 1 stimuli (x), only envelopes", "b: no sound for 2 stimuli (y, z), only envelopes", True),
        ("a: no sound for 1 stimuli (x), only envelopes", "a: no sound for 1 stimuli (x); prepare it again", False),
        ("sub-01: condition 'asleep' is none", "sub-02: condition 'awake' is none", True),
        ("sub-01: row 3 is flat", "sub-01: row 3 holds 3 NaN", False),
        ("600 sounds: too many", "700 files: too few", False),
    ],
)
def test_lines_are_of_one_kind_if_only_values_differ(one, other, same):
    assert (kind_of(one) == kind_of(other)) == same
