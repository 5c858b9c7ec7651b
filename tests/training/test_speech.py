"""What a user reads, hears and sees of stage 3, from models of which it is known whether they work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
from eeg2speech.evaluation.speech_variants import ARMS
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.evaluation.generation import SAMPLED, AudioGallery, generate_variants, read_windows
from eeg2speech.training import EvaluateSpeech, LogSpeech, WriteResults
from tests.training.fake_speech_task import WINDOW, Parrot, noisy_store

ROOT = Path(__file__).parents[2]
PARTS = set(TEST_SPLITS)
KNOWING = {"truth", "round trip", "loa", "eeg"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    store = noisy_store(tmp_path_factory.mktemp("noises") / "store")
    data = EEGAudioDataModule(store=store, window=WINDOW, batch_size=8, audio=True)
    data.setup()
    return data


def trainer_of(folder, *callbacks, **settings):
    logger = TensorBoardLogger(str(folder.parent), folder.name, version="", default_hp_metric=False)
    return pl.Trainer(
        logger=logger, callbacks=[*callbacks], accelerator="cpu", devices=1, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, **settings,
    )  # fmt: skip


def outcome(task, data, folder, **settings):
    callback = EvaluateSpeech(**{"windows": 12, "batch": 5, "training": 100, "examples": 2, **settings})
    trainer = trainer_of(folder, callback, WriteResults())
    trainer.test(task, datamodule=data, verbose=False)
    return json.loads((folder / "test.json").read_text())["diffusion"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("speech") / "run"


@pytest.fixture(scope="module")
def task(data):
    one, other = sorted({window.segment.stimulus for window in data.datasets["unseen_both"].windows})
    return Parrot(data, trained={audio_hash(data.store.audio_file(name)).hex(): name for name in (one, other)})


@pytest.fixture(scope="module")
def found(task, data, folder):
    return outcome(task, data, folder)


def test_a_model_that_speaks_what_was_heard_carries_speech_information(found):
    assert found["verdict"]["informed"]
    assert found["verdict"]["list"] == "unseen_stimulus"
    assert found["verdict"]["in words"] == "EEG carries speech information"
    assert set(found["lists"]) == PARTS
    assert all(of_list["verdict"]["informed"] for of_list in found["lists"].values())


def test_what_knows_the_sound_is_found_and_what_does_not_is_at_chance(found):
    for of_list in found["lists"].values():
        for arm in ARMS:
            figure = of_list["identification"][arm]["2"]
            assert figure["chance"] == 0.5
            if arm in KNOWING:
                assert figure["value"] > 0.99
            else:
                assert figure["value"] < 0.75
                assert figure["null_low"] - 0.02 <= figure["value"] <= figure["null_high"] + 0.02


def test_ways_above_the_gallery_are_left_out(found):
    for of_list in found["lists"].values():
        ways = {way for way in (2, 10, 50) if way <= of_list["gallery"]}
        assert all({int(way) for way in points} == ways for points in of_list["identification"].values())


def test_quality_is_that_of_the_arm(found):
    quality = found["lists"]["unseen_stimulus"]["quality"]
    assert quality["truth"] == {}
    assert quality["round trip"]["mel_corr"]["value"] == pytest.approx(1, abs=1e-3)
    assert quality["eeg"]["mel_corr"]["value"] > 0.9 > 0.5 > quality["noise"]["mel_corr"]["value"]
    eeg = quality["eeg"]["mel_corr"]
    assert eeg["low"] <= eeg["value"] <= eeg["high"]
    frechet = found["lists"]["unseen_stimulus"]["frechet"]
    assert frechet["truth"]["value"] < frechet["unconditional"]["value"]


def test_a_model_that_does_not_listen_carries_none(data, tmp_path):
    found = outcome(Parrot(data, skill=0.0), data, tmp_path / "run", lists=["unseen_stimulus"])
    assert set(found["lists"]) == {"unseen_stimulus"}
    assert not found["verdict"]["informed"]
    assert found["verdict"]["in words"] == "no speech information from EEG"
    assert any("permutations" in reason for reason in found["verdict"]["reasons"])


def test_too_few_permutations_give_no_verdict_in_favour(task, data, tmp_path):
    found = outcome(task, data, tmp_path / "run", lists=["unseen_both"], permutations=50)
    assert not found["verdict"]["informed"]
    assert any("only 50 permutations" in reason for reason in found["verdict"]["reasons"])


def test_all_arms_start_from_the_same_noise_and_no_clip_depends_on_its_batch(task, data):
    task.asked.clear()
    rows = np.arange(6)
    whole = dict(
        generate_variants(task, *(read_windows(task, data, "unseen_stimulus", which) for which in (rows, rows[::-1])))
    )
    assert list(whole) == list(ARMS)
    assert len(task.asked) == len(SAMPLED)
    assert all(seeds == task.asked[0] for seeds in task.asked)
    assert len(set(task.asked[0])) == 6
    part = dict(generate_variants(task, read_windows(task, data, "unseen_stimulus", rows[3:4])))
    assert set(ARMS) - set(part) == {"another trial"}
    for arm, waves in part.items():
        np.testing.assert_allclose(waves[0], whole[arm][3], atol=1e-6)


def test_another_trial_speaks_what_was_heard_in_another_story(task, data):
    rows = np.array([0, 20])
    here, there = (read_windows(task, data, "unseen_stimulus", which) for which in (rows, rows[::-1]))
    assert here["stimulus"][0] != here["stimulus"][1]
    spoken = dict(generate_variants(task, here, there, arms=("truth", "another trial")))
    assert np.corrcoef(spoken["another trial"][0], spoken["truth"][1])[0, 1] > 0.9


@pytest.mark.parametrize("most", [1, 5, 12, 24, 30, 48, 99])
def test_windows_are_of_as_many_sounds_and_people_as_can_be(most):
    key, subject = np.tile(np.arange(100, 124), 2), np.repeat([0, 1], 24)
    order = np.random.default_rng(0).permutation(48)
    heard = AudioGallery(
        key[order], subject[order], key[order], np.arange(100, 124), np.zeros(24), np.zeros((24, 1, 1, 1))
    )
    rows = heard.spread(most)
    assert len(set(rows.tolist())) == len(rows) == min(most, 48)
    assert len(np.unique(heard.key[rows])) == min(most, 24)
    if most > 4:
        assert 0.2 < heard.subject[rows].mean() < 0.8
    if most == 12:
        assert np.diff(np.unique(heard.key[rows])).max() == 2


def test_clips_to_listen_to_lie_in_the_run(found, folder):
    for part in PARTS:
        files = sorted((folder / "clips" / part).iterdir())
        windows = {file.name.split("_")[0] for file in files}
        assert len(windows) == 2
        assert {file.name for file in files} == {f"{w}_{arm.replace(' ', '_')}.wav" for w in windows for arm in ARMS}
        for file in files:
            info = soundfile.info(file)
            assert (info.samplerate, info.subtype, info.frames) == (16_000, "PCM_16", round(WINDOW * 16_000))
            assert np.abs(soundfile.read(file)[0]).max() == pytest.approx(0.5, abs=0.01)


def test_pictures_lie_in_the_run_and_in_tensorboard(found, folder):
    names = {(part, what) for part in PARTS for what in ("speech", "identification")}
    files = {file.name: file for file in (folder / "pictures").iterdir()}
    assert set(files) == {f"{part}_{what}.png" for part, what in names}
    assert all(np.ptp(imread(file)) > 0.5 for file in files.values())
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    assert set(accumulator.Tags()["images"]) == {f"test/{part}/{what}" for part, what in names}


def test_sounds_that_pretrained_parts_had_heard_are_named(found):
    named = {part: of_list["stimuli of the pretrained parts"] for part, of_list in found["lists"].items()}
    stimuli = {part: of_list["stimuli"] for part, of_list in found["lists"].items()}
    # two are held out, and both are known by their content
    assert stimuli == {"unseen_stimulus": 2, "unseen_subject": 5, "unseen_both": 2}
    assert all(len(named[part]) == 2 for part in ("unseen_stimulus", "unseen_both"))
    assert named["unseen_subject"] == []


def test_tables_say_that_the_eeg_is_simulated_and_what_chance_is(task, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")
    outcome(task, data, tmp_path / "run", lists=["unseen_stimulus"])
    text = capsys.readouterr().out
    for words in ("SIMULATED EEG", "chance", "99 % of permutations below", "EEG CARRIES SPEECH INFORMATION", "Frechet"):
        assert words in text


def test_words_are_counted_against_what_is_heard_in_the_recording(task, data, tmp_path, monkeypatch):
    heard = {}

    def understood(wave):  # what differs in any way is heard as something else
        return heard.setdefault(np.asarray(wave, np.float32).tobytes(), f"clip {len(heard)} says this")

    monkeypatch.setattr("eeg2speech.training.evaluate_speech.whisper", lambda model: understood)
    settings = {"lists": ["unseen_both"], "permutations": 50, "windows": 4, "whisper": tmp_path}
    found = outcome(task, data, tmp_path / "run", **settings)["lists"]["unseen_both"]["quality"]
    assert found["noise"]["wer"]["value"] == 0.25  # one word of four
    assert set(found["truth"]) == set()


def test_settings_that_leave_nothing_to_do_are_refused():
    with pytest.raises(ConfigError, match=r"windows=0.*EvaluateSpeech\.windows"):
        EvaluateSpeech(windows=0)


def test_validations_can_be_heard_and_seen(data, tmp_path):
    task = Parrot(data)
    trainer = trainer_of(
        tmp_path / "run", LogSpeech(windows=2), max_steps=4, val_check_interval=2, num_sanity_val_steps=2,
        check_val_every_n_epoch=None, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(task, datamodule=data)
    assert float(trainer.callback_metrics["val/mel_corr/eeg"]) > 0.9
    assert float(trainer.callback_metrics["val/mel_corr/noise"]) < 0.5
    accumulator = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0, "audio": 0})
    accumulator.Reload()
    assert [picture.step for picture in accumulator.Images("val/speech")] == [2, 4]
    tags = accumulator.Tags()["audio"]
    assert len(tags) == 2 * 5
    assert all("SIMULATED_EEG" in tag for tag in tags)
    for tag in tags:
        heard = accumulator.Audio(tag)
        fixed = tag.endswith(("truth", "round trip"))
        assert [clip.step for clip in heard] == ([2] if fixed else [2, 4])
        assert heard[0].sample_rate == 16_000


@pytest.mark.slow
def test_two_devices_find_what_one_finds(data, tmp_path):
    found = []
    for devices in ("1", "2"):
        run = tmp_path / devices
        done = subprocess.run(
            [sys.executable, "-m", "tests.training.fake_speech_on_two_ranks", str(data.store.root), str(run), devices],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads((run / "test.json").read_text())["diffusion"])
        assert len(list((run / "clips" / "unseen_both").iterdir())) == 3 * len(ARMS)
    one, two = (result["lists"]["unseen_both"] for result in found)
    assert one["windows"] == two["windows"] == 7
    assert two["identification"] == one["identification"]
    assert two["verdict"] == one["verdict"]
    for arm, figures in one["quality"].items():
        for name, figure in figures.items():
            assert two["quality"][arm][name]["value"] == pytest.approx(figure["value"], abs=1e-5)
