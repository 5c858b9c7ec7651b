"""Stage 3 from the command line on tiny components: training, resuming, testing, and what a checkpoint holds."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from audioldm2_tiny import write_tiny
from lightning.pytorch.callbacks import Callback

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.checkpoints.parts import read_checkpoint, read_data, read_part
from eeg2speech.checkpoints.training_record import KEY
from eeg2speech.cli import main
from eeg2speech.models import SpectrogramViT
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.rebuild import rebuild_speech
from eeg2speech.tasks.diffusion import DiffusionTask

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
MAEEG = ["configs/maeeg.yaml", "tests/conf/tiny.yaml"]
ALIGNMENT = ["configs/alignment.yaml", "tests/conf/tiny_alignment.yaml"]
DIFFUSION = ["configs/diffusion.yaml", "tests/conf/tiny_diffusion.yaml"]
SHORT = ("--trainer.max_steps=2", "--trainer.val_check_interval=2")
FEW = ("--trainer.limit_val_batches=2", "--trainer.limit_test_batches=2", "--trainer.limit_predict_batches=2")


def options(configs: list[str], *rest: str) -> list[str]:
    return [*(f"--config={config}" for config in configs), *rest]


@pytest.fixture(scope="module")
def stage2(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of stage 2, with a joint space, after one of stage 1."""
    runs = tmp_path_factory.mktemp("runs")
    saved = "{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {filename: best, save_last: true}}"
    callbacks = f"--trainer.callbacks=[{saved}, {{class_path: eeg2speech.training.ExportEncoder}}]"
    handed_over = f"--model.init_args.encoder_weights={runs / 'maeeg/encoder'}"
    for name, configs, more in (("maeeg", MAEEG, ()), ("alignment", ALIGNMENT, (handed_over,))):
        given = options(configs, f"--run={runs / name}", f"--data.store={tiny_store}", callbacks, *SHORT, *more)
        assert main(["fit", *given]) == 0
    return runs / "alignment"


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Components in both layouts, and weights of an audio encoder."""
    root = tmp_path_factory.mktemp("components")
    made = {name: write_tiny(root / name, name) for name in ("speech", "general")}
    audio = root / "audio"
    torch.manual_seed(0)
    encoder = SpectrogramViT(width=16, depth=1, heads=2)
    described = {"class": "ViTEncoder", "config": encoder.encoder.config}
    write_export(audio, {"encoder": Part(described, dict(encoder.encoder.state_dict()))}, {}, {})
    return {**made, "audio": audio}


def given(components: dict[str, Path], layout: str, aligner: Path, store: Path, run: Path, *rest: str) -> list[str]:
    return options(
        DIFFUSION, f"--run={run}", f"--data.store={store}", f"--model.init_args.components={components[layout]}",
        f"--model.init_args.audio_weights={components['audio']}", f"--model.init_args.aligner={aligner}", *FEW, *rest,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "trainable", "concat_channels", "applied"),
    [
        ("speech", "lora", 2, True),
        ("general", "all", 0, False),
        ("general", "cross", 2, False),
        pytest.param("general", "all", 0, True, marks=pytest.mark.slow),
        pytest.param("general", "cross", 2, True, marks=pytest.mark.slow),
    ],
)
def test_it_trains_saves_tests_and_comes_back(
    layout: str,
    trainable: str,
    concat_channels: int,
    applied: bool,
    stage2: Path,
    components: dict[str, Path],
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    fitted: list[list[str]] = []
    fit_regressions = DiffusionTask._fit_regressions
    monkeypatch.setattr(
        DiffusionTask,
        "_fit_regressions",
        lambda task, parts: (fitted.append(list(parts)), fit_regressions(task, parts))[1],
    )
    run, aligner = tmp_path / "diffusion", tmp_path / "aligner"
    shutil.copytree(stage2 / "aligner", aligner)
    settings = given(
        components, layout, aligner, tiny_store, run, f"--model.init_args.trainable={trainable}",
        f"--model.init_args.concat_channels={concat_channels}",
        f"--model.init_args.encoder_lr_scale={0.1 * (trainable == 'cross')}",
    )  # fmt: skip
    precision = "bf16-mixed" if trainable == "all" else "32-true"
    assert main(["fit", *settings, f"--trainer.precision={precision}"]) == 0
    # the regression to mel is fitted again in every validation where the EEG side is trained
    again = [["mel"]] if trainable == "cross" else []
    assert fitted[:2] == [["LOA", "mel"], *again]
    shutil.rmtree(aligner)  # what follows does without stage 2
    checkpoint = read_checkpoint(run / "checkpoints/last.ckpt")
    names = checkpoint["state_dict"].keys()
    assert not [name for name in names if name.startswith(("model.vae.", "model.vocoder.", "model.audio."))]
    of_unet = [name for name in names if name.startswith("model.unet.")]
    before = read_checkpoint(stage2 / "checkpoints/best.ckpt")["state_dict"]
    name = "aligner.eeg_head.weight"
    moved = not torch.equal(before[name], checkpoint["state_dict"][f"model.{name}"])
    assert moved == (trainable == "cross")  # the EEG side, once it has thawed
    if trainable == "lora":
        assert all("lora_" in name or "conv_in" in name for name in of_unet)
    if applied:
        assert main(["test", *settings, "--ckpt_path=last"]) == 0
        assert main(["predict", *settings, "--ckpt_path=last"]) == 0
    described, weights, _ = read_part(run / "speech", "speech")
    model, sampler = rebuild_speech(described, weights, str(run))
    condition = Condition(torch.randn(2, 4, 8, 16), torch.randn(2, *model.latent_shape(4)))
    first = model.waveform(sampler.sample(model, condition, 4, [1, 2]))
    assert first.shape == (2, 10240)
    assert torch.isfinite(first).all()
    alone = model.waveform(sampler.sample(model, Condition(*(part[1:] for part in condition)), 4, [2]))
    torch.testing.assert_close(first[1:], alone, atol=1e-4, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:.* trained on .*whose weights this run")
def test_what_the_aligner_was_trained_on_is_not_tested_as_unseen(
    stage2: Path, components: dict[str, Path], tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = "--data.split.test_subjects=[00,01,02]"  # of whom stage 2 was trained on two at least
    settings = given(components, "speech", stage2 / "aligner", tiny_store, tmp_path / "run", other)
    assert main(["fit", *settings, *SHORT]) == 0
    stages = [record["stage"] for record in read_data(tmp_path / "run/speech")[KEY]]
    assert stages == ["MAEEGTask", "AlignmentTask", "DiffusionTask"]
    assert main(["test", *settings]) == 1
    error = capsys.readouterr().err
    assert "unseen_subject: " in error
    assert "by AlignmentTask" in error


class StopEarly(Callback):
    """Presses Ctrl-C in a step."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, index: int
    ) -> None:
        if trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_it_resumes_as_if_it_had_not_stopped(
    stage2: Path, components: dict[str, Path], tiny_store: Path, tmp_path: Path
):
    halt = (
        "--trainer.callbacks+={class_path: eeg2speech.training.GracefulInterrupt}",
        f"--trainer.callbacks+={{class_path: {StopEarly.__module__}.StopEarly}}",
    )
    whole, cut = (
        given(components, "speech", stage2 / "aligner", tiny_store, tmp_path / name) for name in ("whole", "cut")
    )
    assert main(["fit", *whole]) == 0
    with pytest.raises(SystemExit, match="130"):
        main(["fit", *cut, *halt])
    assert read_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")["global_step"] == 3
    assert main(["fit", *cut, "--ckpt_path=last"]) == 0
    ours, theirs = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("cut", "whole"))
    assert ours["global_step"] == theirs["global_step"] == 4
    for key in ("state_dict", "trained_weights"):
        assert ours[key].keys() == theirs[key].keys()
        for name, value in theirs[key].items():
            assert torch.equal(ours[key][name], value), name
    moved = [n for n, v in theirs["trained_weights"].items() if not torch.equal(v, theirs["state_dict"][n])]
    assert moved  # the average is not what training goes on with


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("--model.init_args.aligner=nowhere", "train stage 2 first"),
        ("--model.init_args.aligner={stage2}/encoder", "stage 3 needs an aligner from stage 2"),
        ("--model.init_args.audio_weights=null", "contains no audio encoder"),
        ("--model.init_args.components={stage2}", "no folder unet, vae, vocoder, scheduler"),
        ("--model.init_args.audio.init_args.width=32", "width=16, where 32 is needed"),
        ("--model.init_args.encoder_lr_scale=-1", "encoder_lr_scale=-1"),
        ("--data.audio=false", "data.audio"),
    ],
)
def test_what_does_not_fit_is_named(
    change: str, said: str, stage2: Path, components: dict[str, Path], tiny_store: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    fit = given(components, "speech", stage2 / "aligner", tiny_store, tmp_path / "run")
    assert main(["fit", *fit, change.format(stage2=stage2)]) == 1
    assert said in capsys.readouterr().err
