"""Results, clips and pictures of stage 3, of models of which it is known whether they use the EEG."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.evaluation.speech import evaluate_speech, generate_splits
from eeg2speech.metrics import speech
from eeg2speech.metrics.results import VARIANTS, SpeechResult, read_results
from eeg2speech.metrics.summary import split_verdicts
from eeg2speech.models import SpectrogramViT
from eeg2speech.models.audioldm2.files import OWN_AUDIO, TINY
from eeg2speech.models.weights import fingerprint
from eeg2speech.reporting.console import print_speech
from eeg2speech.reporting.tables import result_tables
from eeg2speech.training import EvaluateSpeech, LogSpeech, WriteResults
from tests.training.fake_speech_task import WINDOW, Parrot, noisy_store

ROOT = Path(__file__).parents[2]
SPLITS = set(TEST_SPLITS)
INFORMED = {"truth", "round_trip", "loa", "eeg", "mel_regression"}


@pytest.fixture(scope="module", autouse=True)
def _no_pesq():
    """As where the package is not installed: it takes a third of the time; tests/metrics/test_speech.py covers it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "find_spec", lambda name: None if name == "pesq" else find_spec(name))
        yield


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


def outcome(task, data, folder, **settings) -> SpeechResult:
    callback = EvaluateSpeech(**{"windows": 12, "batch": 5, "training": 100, "examples": 2, **settings})
    trainer = trainer_of(folder, callback, WriteResults())
    trainer.test(task, datamodule=data, verbose=False)
    return read_results(folder / "test.json").speech


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("speech") / "run"


@pytest.fixture(scope="module")
def task(data):
    one, other = sorted({window.segment.stimulus for window in data.datasets["unseen_both"].windows})
    return Parrot(data, trained={audio_hash(data.store.audio_file(name)).hex(): name for name in (one, other)})


@pytest.fixture(scope="module")
def printed():
    return io.StringIO()


@pytest.fixture(scope="module")
def found(task, data, folder, printed):
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setenv("COLUMNS", "220")
        return outcome(task, data, folder)


@pytest.fixture(scope="module")
def generated(task, data):
    """Of one split, for evaluations that differ in what follows."""
    return generate_splits(task, data, windows=12, splits=["unseen_both"], training=100, batch=5)


def test_figures_of_packages_that_are_missing_are_named(found):
    assert list(found.left_out) == ["pesq"]
    figures = found.splits["unseen_stimulus"].variants["eeg"].quality
    assert {"stoi", "estoi"} < set(figures)
    assert "pesq" not in figures


def test_a_model_that_generates_what_was_heard_carries_speech_information(found):
    assert found.judged == "unseen_stimulus"
    assert found.verdict.words == "EEG carries speech information"
    assert set(found.splits) == SPLITS
    assert all(split.verdict.informed for split in found.splits.values())


def test_variants_with_the_sound_are_identified_others_at_chance(found):
    for split in found.splits.values():
        assert list(split.variants) == list(VARIANTS)
        for name, variant in split.variants.items():
            point = variant.among(2)
            assert point.estimate.chance == 0.5
            if name in INFORMED:
                assert point.estimate.value > 0.99
            else:
                assert point.estimate.value < 0.75
                assert point.estimate.value <= point.null.percentile_99


def test_ways_above_the_gallery_are_left_out(found):
    for split in found.splits.values():
        ways = [way for way in (2, 10, 50) if way <= split.gallery]
        assert all([one.gallery for one in variant.identification] == ways for variant in split.variants.values())


def test_quality_is_that_of_the_variant(found):
    variants = found.splits["unseen_stimulus"].variants
    assert variants["truth"].quality == {}
    assert variants["round_trip"].quality["mel_corr"].value == pytest.approx(1, abs=1e-3)
    eeg, noise = (variants[name].quality["mel_corr"] for name in ("eeg", "noise"))
    assert eeg.value > 0.9 > 0.5 > noise.value
    assert eeg.low <= eeg.value <= eeg.high
    assert variants["truth"].frechet.value < variants["unconditional"].frechet.value


def test_a_model_that_ignores_the_eeg_carries_none(data):
    task = Parrot(data, skill=0.0)
    generated = generate_splits(task, data, windows=12, splits=["unseen_stimulus"], training=100, batch=5)
    found = evaluate_speech(task, data, generated=generated)
    assert set(found.splits) == {"unseen_stimulus"}
    assert found.verdict.words == "no speech information from EEG"
    assert any("permutations" in reason for reason in found.verdict.reasons)


class Forgetful(Parrot):
    """Its regression knows the EEG, but of the generated clips only some are of the sound."""

    def regress(self, batch):
        skill, self.skill = self.skill, 1.0
        waves = super().regress(batch)
        self.skill = skill
        return waves


def test_a_model_that_is_worse_than_regression_is_named_so(data, capsys):
    task = Forgetful(data, skill=0.3)
    generated = generate_splits(task, data, windows=12, splits=["unseen_stimulus"], training=100, batch=5)
    found = evaluate_speech(task, data, generated=generated)
    split = found.splits["unseen_stimulus"]
    regression = split.variants["mel_regression"]
    assert regression.among(2).estimate.value > 0.99
    assert split.regression.outcome == "worse"
    way = split.verdict.way
    difference = split.variants["eeg"].among(way).estimate.value - regression.among(way).estimate.value
    assert split.regression.difference.value == pytest.approx(difference)
    assert split.regression.difference_log_mel.high < 0
    reasons = split_verdicts(found)[0].reasons
    assert any(text.startswith("worse than the linear mel regression: difference -0.") for text in reasons)
    assert "eeg2speech generate --method regression is recommended" in reasons
    print_speech(found, simulated=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "in log mel, among" in printed


def test_the_start_trades_identification_for_noise(task, data, tmp_path):
    settings = {"splits": ["unseen_both", "unseen_stimulus"], "windows": 8, "permutations": 10, "examples": 1}
    found = outcome(task, data, tmp_path / "run", starts=[0.01, 0.2, 0.2], **settings)
    assert found.splits["unseen_both"].curve == []  # it is not the judged split
    curve = found.splits["unseen_stimulus"].curve
    assert [point.start for point in curve] == [0.01, 0.2, 1.0]  # the last is the sampler's own
    curve = curve[:2]
    for shares in ([p.identification.value for p in curve], [p.identification_log_mel.value for p in curve]):
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > 0.99 > shares[-1]
    assert curve[0].frechet.value < curve[-1].frechet.value
    assert np.ptp(imread(tmp_path / "run/pictures/unseen_stimulus_fidelity.png")) > 0.5
    assert not (tmp_path / "run/pictures/unseen_both_fidelity.png").exists()
    (table,) = [
        table for table in result_tables(read_results(tmp_path / "run/test.json")).main if "fidelity" in table.title
    ]
    assert [row.name for row in table.rows] == ["start 0.01", "start 0.2", "start 1", "linear mel regression from EEG"]
    with pytest.raises(ConfigError, match=r"starts=\[0\] must be above 0"):
        EvaluateSpeech(starts=[0])


def test_equal_clips_are_indistinguishable_from_regression(found):
    assert {split.regression.outcome for split in found.splits.values()} == {"indistinguishable"}


def test_clips_are_judged_by_an_encoder_of_ones_own(task, data, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="none"):
        generate_splits(task, data, windows=4, judge=tmp_path / "none")
    settings = {"windows": 4, "splits": ["unseen_both"], "training": 20}
    packaged = generate_splits(task, data, **settings)
    other = generate_splits(task, data, judge=TINY / OWN_AUDIO, **settings)
    encoder = SpectrogramViT(TINY / OWN_AUDIO, width=64, depth=2, heads=4)
    monkeypatch.setattr(task.model, "audio_fingerprint", fingerprint({"audio": encoder}))
    with pytest.raises(ConfigError, match="the audio encoder of the model itself"):
        generate_splits(task, data, judge=TINY / OWN_AUDIO, **settings)
    one, two = (clips["unseen_both"].variants["eeg"].similarity for clips in (packaged, other))
    assert not np.allclose(one["audio_encoder"], two["audio_encoder"], atol=1e-2)
    np.testing.assert_allclose(one["log_mel"], two["log_mel"], atol=1e-5)


def test_python_finds_what_the_command_line_finds(task, data, generated, found):
    one, other = (result.splits["unseen_both"] for result in (evaluate_speech(task, data, generated=generated), found))
    assert one.verdict == other.verdict
    for name, variant in one.variants.items():
        assert str(variant.identification) == str(other.variants[name].identification)  # NaN is unlike NaN
        assert str(variant.quality.get("mel_corr")) == str(other.variants[name].quality.get("mel_corr"))
        assert (variant.frechet, variant.memorised) == (other.variants[name].frechet, other.variants[name].memorised)


def test_too_few_permutations_give_no_verdict_in_favour(task, data, generated):
    found = evaluate_speech(task, data, permutations=50, generated=generated)
    assert not found.verdict.informed
    assert any("only 50 permutations" in reason for reason in found.verdict.reasons)


def test_clips_to_listen_to_lie_in_the_run(found, folder):
    for split in SPLITS:
        files = sorted((folder / "clips" / split).iterdir())
        windows = {file.name.split("_")[0] for file in files}
        assert len(windows) == 2
        assert {file.name for file in files} == {f"{w}_{variant}.wav" for w in windows for variant in VARIANTS}
        for file in files:
            info = soundfile.info(file)
            assert (info.samplerate, info.subtype, info.frames) == (16_000, "PCM_16", round(WINDOW * 16_000))
            assert np.abs(soundfile.read(file)[0]).max() == pytest.approx(0.5, abs=0.01)


def test_pictures_lie_in_the_run_and_in_tensorboard(found, folder):
    names = {(split, what) for split in SPLITS for what in ("speech", "identification")}
    files = {file.name: file for file in (folder / "pictures").iterdir()}
    assert set(files) == {f"{split}_{what}.png" for split, what in names}
    assert all(np.ptp(imread(file)) > 0.5 for file in files.values())
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    assert set(accumulator.Tags()["images"]) == {f"test/{split}/{what}" for split, what in names}


def test_stimuli_that_the_pretrained_components_were_trained_on_are_named(found):
    stimuli = {name: split.stimuli for name, split in found.splits.items()}
    # two are held out, and both are known by their content
    assert stimuli == {"unseen_stimulus": 2, "unseen_subject": 5, "unseen_both": 2}
    named = {name: len(split.pretrained_stimuli) for name, split in found.splits.items()}
    assert named == {"unseen_stimulus": 2, "unseen_subject": 0, "unseen_both": 2}


def test_tables_say_that_the_eeg_is_simulated_and_what_chance_is(found, printed):
    text = printed.getvalue()
    for words in (
        "SIMULATED EEG",
        "chance",
        "99th percentile of permutations",
        "EEG CARRIES SPEECH INFORMATION",
        "Frechet",
    ):
        assert words in text


def test_word_errors_are_counted_against_the_text_of_the_recording(task, data, tmp_path, monkeypatch):
    texts = {}

    def transcribe(wave):  # another text for every other waveform
        return texts.setdefault(np.asarray(wave, np.float32).tobytes(), f"clip {len(texts)} says this")

    monkeypatch.setattr("eeg2speech.training.evaluate_speech.whisper", lambda model: transcribe)
    settings = {"splits": ["unseen_both"], "permutations": 50, "windows": 4, "whisper": tmp_path, "examples": 0}
    (found,) = outcome(task, data, tmp_path / "run", **settings).splits.items()
    split, variants = found[0], found[1].variants
    assert (split, found[1].windows, variants["eeg"].among(2).null.permutations) == ("unseen_both", 4, 50)
    assert variants["noise"].quality["wer"].value == 0.25  # one word of four
    assert variants["truth"].quality == {}


def test_settings_that_leave_nothing_to_do_are_refused():
    with pytest.raises(ConfigError, match=r"windows=0.*EvaluateSpeech\.windows"):
        EvaluateSpeech(windows=0)


def test_validations_are_played_and_drawn(data, tmp_path):
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
    assert len(tags) == 2 * 6
    assert all("SIMULATED_EEG" in tag for tag in tags)
    for tag in tags:
        clips = accumulator.Audio(tag)
        fixed = tag.endswith(("truth", "round_trip"))
        assert [clip.step for clip in clips] == ([2] if fixed else [2, 4])
        assert clips[0].sample_rate == 16_000


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
        found.append(read_results(run / "test.json").speech)
        assert len(list((run / "clips" / "unseen_both").iterdir())) == 3 * len(VARIANTS)
    one, two = (result.splits["unseen_both"] for result in found)
    assert one.windows == two.windows == 7
    assert two.verdict == one.verdict
    for name, variant in one.variants.items():
        other = two.variants[name]
        assert other.identification == variant.identification
        for figure, estimate in variant.quality.items():
            assert other.quality[figure].value == pytest.approx(estimate.value, abs=1e-5)
