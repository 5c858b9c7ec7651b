"""The small AudioMAE: MAEEG's autoencoder on sound, from the command line to the encoder that stage 2 starts from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.audio.fbank import Fbank
from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.models import CrossDecoder, ViTEncoder
from eeg2speech.models.audio.encoder import SpectrogramViT
from eeg2speech.tasks import AudioMAETask, MAEEGTask, MaskedTask

ROOT = Path(__file__).parents[2]
CONFIGS = (ROOT / "configs/audiomae.yaml", ROOT / "tests/conf/tiny_audio.yaml")
SMALL = {"width": 16, "depth": 1, "heads": 2}


@pytest.fixture
def stage(tmp_path, tiny_store, monkeypatch):
    """Run a stage on the tiny store in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(command, *options):
        given = [word for config in CONFIGS for word in ("--config", str(config))]
        return main([command, *given, "--data.store", str(tiny_store), *options])

    return run


def make_task(**settings):
    torch.manual_seed(0)
    options = {"patch": (16, 16), "position": "sincos2d", "gain_free": False} | SMALL | settings
    return AudioMAETask(64, ViTEncoder(**options), CrossDecoder(width=12, depth=1, heads=2))


def first_batch(store, **settings):
    data = EEGAudioDataModule(store, window=0.64, batch_size=4, **settings)
    data.setup()
    return next(iter(data.batches("train")))


def test_fit_test_and_export_end_in_an_encoder_for_stage_2(stage, tmp_path):
    assert stage("fit") == 0
    assert stage("test", "--ckpt_path", "best") == 0
    run = tmp_path / "runs/audiomae"
    metrics = json.loads((run / "test.json").read_text())["metrics"]
    for part in ("unseen_stimulus", "unseen_subject", "unseen_both"):
        assert metrics[f"test/{part}/nmse"] > 0
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    assert "val/reconstruction" in events.Tags()["images"]
    assert {"val/nmse", "train/samples_per_s"} <= set(events.Tags()["scalars"])
    best = run / "checkpoints/best.ckpt"
    assert main(["export", str(best), str(tmp_path / "out")]) == 0
    task_weights = torch.load(best, weights_only=True)["state_dict"]
    audio = torch.randn(2, 5120)
    for source in (best, tmp_path / "out", run / "encoder"):
        made = SpectrogramViT(source, **SMALL)
        for name, value in made.encoder.state_dict().items():
            assert torch.equal(value, task_weights[f"autoencoder.encoder.{name}"])
        assert made(audio).shape == (2, 2, 8, 16)


def test_it_sees_the_spectrogram_of_the_sound_and_no_eeg(tiny_store):
    task, batch = make_task().eval(), first_batch(tiny_store, audio=True)
    image = task.image(batch)
    assert image.rows.shape == (4, 128, 64)
    assert torch.equal(image.rows, Fbank()(batch["audio"]).transpose(1, 2))
    before = task.predict_step(batch, 0)["tokens"]
    batch["eeg"] = torch.randn_like(batch["eeg"])
    assert torch.equal(task.predict_step(batch, 0)["tokens"], before)
    assert before.shape == (4, 4, 8, 16)


def test_a_run_learns(tiny_store):
    task = make_task()
    task.log = lambda *_, **__: None
    batch = first_batch(tiny_store, audio=True)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = task.step(batch, "train", "train")["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    variance = task.image(batch).rows.var().item()
    assert sum(losses[-10:]) / 10 < 0.5 * variance


def test_both_modalities_are_one_implementation():
    for task in (AudioMAETask, MAEEGTask):
        assert issubclass(task, MaskedTask)
        assert task.step is MaskedTask.step


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"position": "electrode"}, r"position=electrode is for EEG; sound needs sincos2d"),
        ({"gain_free": True}, r"gain_free=True is for EEG"),
        ({"patch": (12, 16)}, r"patch=\[12, 16\] does not divide 128 mel bands"),
        ({"patch": (16, 24)}, r"samples=64 is not a multiple of patch"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_task(**settings)


def test_data_without_sound_is_refused(tiny_store):
    with pytest.raises(ConfigError, match=r"set data.audio to true"):
        make_task().image(first_batch(tiny_store))


def test_an_encoder_of_eeg_is_not_taken_for_one_of_sound(tmp_path):
    folder = tmp_path / "encoder"
    task = MAEEGTask(64, ViTEncoder(**SMALL))
    checkpoint = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "a.ckpt")
    assert main(["export", str(tmp_path / "a.ckpt"), str(folder)]) == 0
    with pytest.raises(DataError, match=r"an encoder with patch=\[4, 16\], where \[16, 16\] is needed"):
        SpectrogramViT(folder, **SMALL)
