"""The command as users type it, in-process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.baselines import probes
from eeg2speech.cli import main
from eeg2speech.models import ViTEncoder

ROOT = Path(__file__).parents[2]
MAEEG, TINY = ROOT / "configs/maeeg.yaml", ROOT / "tests/conf/tiny.yaml"
BARE = (MAEEG, TINY, ROOT / "tests/conf/bare.yaml")
Run = Callable[..., int]


@pytest.fixture
def stage(tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a stage on the tiny store in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *options: str, configs: Sequence[Path] = (MAEEG, TINY)) -> int:
        given = [word for config in configs for word in ("--config", str(config))]
        return main([command, *given, "--data.store", str(tiny_store), *options])

    return run


@pytest.fixture(scope="module")
def finished(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in runs/maeeg; only to be read."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", *(f"--config={file}" for file in (MAEEG, TINY)), f"--data.store={tiny_store}"]) == 0
    assert [path.name for path in folder.iterdir()] == ["runs"]
    return folder / "runs/maeeg"


@pytest.fixture
def earlier(finished: Path, tmp_path: Path) -> Path:
    """That run, in the folder of the test."""
    return shutil.copytree(finished, tmp_path / "runs/maeeg")


@pytest.fixture
def one_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes choose from one penalty instead of four, which takes most of a tiny test."""
    monkeypatch.setattr(probes, "STRENGTHS", (0.1,))


class SendInterrupt(Callback):
    """Presses Ctrl-C in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def weights(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)["state_dict"]


def test_help_is_fast_and_imports_nothing_heavy():
    code = (
        "import sys; from eeg2speech.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'mne', 'lightning', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(word in done.stdout for word in ("fit", "test", "prepare", "doctor", "export"))


@pytest.mark.usefixtures("one_penalty")
@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the run is copied
def test_fit_then_test_fill_the_run_folder(
    stage: Run, earlier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert stage("test", "--ckpt_path", "best") == 0
    run = tmp_path / "runs/maeeg"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert (run / "checkpoints/best.ckpt").is_file()
    assert (run / "checkpoints/last.ckpt").is_file()
    assert (run / "config.yaml").is_file()
    results = json.loads((run / "test.json").read_text())
    splits = results["reconstruction"]["splits"]
    assert set(splits) == {"unseen_stimulus", "unseen_subject", "unseen_both"}
    for split in splits.values():
        assert split["nmse"]["mean"]["value"] == pytest.approx(1.0)
        assert set(split["nmse"]) == {"model", "mean", "nearest", "interpolation", "spline", "ridge", "kriging"}
        assert all(row["value"] > 0 for row in split["nmse"].values())
    assert results["data"]["simulated"] is True
    assert set(results["probes"]["subject"]["accuracy"]) == {"encoder", "untrained_encoder", "band_power"}
    printed = capsys.readouterr().out
    assert "SIMULATED" in printed
    assert "kriging" in printed


class CountTokens(Callback):
    """Counts the windows that were predicted."""

    def __init__(self) -> None:
        self.windows: dict[int, int] = {}

    def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        assert len(outputs["tokens"]) == len(batch["eeg"])
        self.windows[dataloader_idx] = self.windows.get(dataloader_idx, 0) + len(batch["eeg"])

    def on_predict_end(self, trainer, pl_module) -> None:
        (Path(trainer.log_dir) / "predicted.json").write_text(json.dumps(self.windows))


def test_predict_represents_every_window_of_the_test_lists(stage: Run, earlier: Path, tmp_path: Path):
    keep = ["--trainer.callbacks+", "tests.cli.test_cli.CountTokens"]
    assert stage("predict", "--ckpt_path", "best", *keep) == 0
    results = json.loads((tmp_path / "runs/maeeg/predicted.json").read_text())
    assert results == {"0": 2 * 3 * 6, "1": 5 * 6, "2": 2 * 6}  # sounds, people, windows


def test_exported_encoder_is_the_best_checkpoints(stage: Run, earlier: Path, tmp_path: Path):
    run = tmp_path / "runs/maeeg"
    assert main(["export", str(run / "checkpoints/best.ckpt"), str(tmp_path / "out")]) == 0
    description = json.loads((tmp_path / "out/config.json").read_text())
    encoder = ViTEncoder(**description["config"])
    exported = load_file(tmp_path / "out/encoder.safetensors")
    encoder.load_state_dict(exported)
    best = weights(run / "checkpoints/best.ckpt")
    for name, value in exported.items():
        assert torch.equal(value, best[f"autoencoder.encoder.{name}"])
    automatic = load_file(run / "encoder/encoder.safetensors")
    assert all(torch.equal(automatic[name], exported[name]) for name in exported)


def test_encoder_weights_start_a_new_run(stage: Run, earlier: Path, tmp_path: Path):
    source = tmp_path / "runs/maeeg/encoder"
    options = ["--model.init_args.encoder_weights", str(source), "--trainer.max_steps", "4", "--run", "runs/second"]
    assert stage("fit", *options, "--model.init_args.optimizer.init_args.lr", "1e-30", configs=BARE) == 0
    exported = load_file(source / "encoder.safetensors")
    second = weights(tmp_path / "runs/second/checkpoints/last.ckpt")
    assert all(torch.equal(second[f"autoencoder.encoder.{name}"], value) for name, value in exported.items())


def test_a_run_is_repeated_bit_for_bit(stage: Run, finished: Path, tmp_path: Path):
    assert stage("fit", "--run", "runs/again", configs=BARE) == 0  # what is measured beside leaves no trace
    a, b = (weights(run / "checkpoints/last.ckpt") for run in (finished, tmp_path / "runs/again"))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def uninterrupted(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random augmentation, its batches made in its own process; only to be read."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    given = [*(f"--config={file}" for file in BARE), f"--data.store={tiny_store}", "--data.augment.flip=0.5"]
    assert main(["fit", *given, f"--run={run}"]) == 0
    return run


@pytest.mark.parametrize(("workers", "configs"), [("0", (MAEEG, TINY)), ("2", BARE)])
def test_interrupt_and_resume_equal_the_uninterrupted_run(
    stage: Run, uninterrupted: Path, tmp_path: Path, workers: str, configs: Sequence[Path]
):
    options = ["--data.workers", workers, "--data.augment.flip", "0.5", "--run", "runs/cut"]
    halt = [f"--trainer.callbacks+={{class_path: {SendInterrupt.__module__}.SendInterrupt, init_args: {{step: 5}}}}"]
    with pytest.raises(SystemExit, match="130"):
        stage("fit", *options, *halt, configs=configs)
    cut = tmp_path / "runs/cut"
    assert torch.load(cut / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 6
    assert stage("fit", *options, "--ckpt_path", "last", configs=configs) == 0
    assert (cut / "config.1.yaml").is_file()
    assert not (tmp_path / "runs/cut.1").exists()
    whole, resumed = (weights(run / "checkpoints/last.ckpt") for run in (uninterrupted, cut))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_fresh_start_sets_the_earlier_run_aside(stage: Run, earlier: Path, tmp_path: Path):
    first = weights(tmp_path / "runs/maeeg/checkpoints/last.ckpt")
    (events,) = (tmp_path / "runs/maeeg").glob("events.*")
    assert stage("fit", "--seed_everything", "1", configs=BARE) == 0
    assert [file.name for file in (tmp_path / "runs/maeeg.1").glob("events.*")] == [events.name]
    assert len(list((tmp_path / "runs/maeeg").glob("events.*"))) == 1
    kept = weights(tmp_path / "runs/maeeg.1/checkpoints/last.ckpt")
    second = weights(tmp_path / "runs/maeeg/checkpoints/last.ckpt")
    assert all(torch.equal(first[name], kept[name]) for name in first)
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("option", "exit_code"), [("encoder_weights=gone", 1), ("normalize_target=true", 0)])
def test_a_start_that_fails_leaves_the_earlier_run_where_it_is(
    stage: Run, earlier: Path, tmp_path: Path, option: str, exit_code: int
):
    run = tmp_path / "runs/maeeg"
    checkpoint, config = (run / "checkpoints/best.ckpt").read_bytes(), (run / "config.yaml").stat().st_mtime_ns
    before = sorted(file.name for file in run.iterdir())
    assert stage("fit", f"--model.init_args.{option}", configs=BARE) == exit_code
    failed = exit_code == 1
    assert ((run / "config.yaml").stat().st_mtime_ns == config) == failed
    assert ((run / "checkpoints/best.ckpt").read_bytes() == checkpoint) == failed
    assert (sorted(file.name for file in run.iterdir()) == before) == failed  # no empty file of events either
    assert not (run / "config.1.yaml").exists()
    assert run.with_name("maeeg.1").exists() != failed


def test_a_validation_loss_does_not_depend_on_the_batches(stage: Run, tmp_path: Path):
    found = []
    for size in ("3", "4"):  # of 15 windows
        run = tmp_path / f"runs/by{size}"
        given = ["--data.window", "0.8", "--data.batch_size", size, "--run", str(run)]
        assert stage("validate", *given, configs=BARE) == 0
        events = EventAccumulator(str(run))
        events.Reload()
        found.append(events.Scalars("val/loss")[-1].value)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_saved_config_reruns(stage: Run, earlier: Path, tmp_path: Path):
    saved = tmp_path / "runs/maeeg/config.yaml"
    copy = tmp_path / "again.yaml"
    copy.write_text(saved.read_text())
    assert main(["fit", "--config", str(copy), "--run", "runs/again"]) == 0
    first, again = (weights(tmp_path / f"runs/{run}/checkpoints/last.ckpt") for run in ("maeeg", "again"))
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.usefixtures("one_penalty")
def test_ragged_montages_train_and_test(stage: Run, ragged_store: Path, tmp_path: Path):
    options = ["--data.store", str(ragged_store), "--trainer.max_steps", "4"]
    assert stage("fit", *options) == 0
    assert stage("test", *options, "--ckpt_path", "last") == 0
    results = json.loads((tmp_path / "runs/maeeg/test.json").read_text())
    assert results["probes"]["label"]["groups"] == "subject"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data.window", "0.7"], ["samples=70", "patch=[4, 16]", "data.window"]),
        (["--data.window", "9.6"], ["window=9.6", "data.window"]),
        (["--data.store", "nowhere"], ["nowhere", "eeg2speech prepare"]),
        (["--data.split.test_subjects", "[99]"], ["'99'", "data.split.test_subjects"]),
        (["--data.split.test", "0.99"], ["train empty", "data.split"]),
        (["--data.batch_size", "5000"], ["5000", "data.batch_size"]),
        (["--model.init_args.masking.ratio", "1.5"], ["ratio=1.5", "model.masking.ratio"]),
        (["--ckpt_path", "last"], ["last.ckpt", "no such checkpoint"]),
        (["--model.init_args.encoder_weights", "gone"], ["gone"]),
    ],
)
def test_mistakes_get_one_line(stage: Run, options: list[str], words: list[str], capsys: pytest.CaptureFixture[str]):
    assert stage("fit", *options) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert all(word in error[0] for word in words), error[0]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fti"], ["unknown command", "did you mean fit"]),
        (["fit"], ["--config maeeg"]),
        (["fit", "--config", "nope.yaml"], ["nope.yaml"]),
        (["fit", "--config", str(MAEEG), "--trainer.max_epoch", "3"], ["did you mean --trainer.max_epochs?"]),
        (["fit", "--config", str(MAEEG), "--data.windw", "3"], ["did you mean --data.window?"]),
        (
            ["fit", "--config", str(MAEEG), "--model.init_args.encoder.init_args.widht", "3"],
            ["ViTEncoder", "did you mean width?"],
        ),
        (["prepare", "nothing", "a", "b"], ["demo", "feis"]),
        (["export"], ["ckpt"]),
    ],
)
def test_unknown_words_get_a_suggestion(argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert len(error.splitlines()) < 12


def test_tests_and_doctor_name_a_damaged_checkpoint(stage: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(b"PK\x03\x04 cut short")
    assert stage("test", "--ckpt_path", str(bad)) == 1
    assert "bad.ckpt" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_a_foreign_checkpoint_is_reported_in_one_line(
    command: str, stage: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content = {"state_dict": {"weight": torch.zeros(2)}, "pytorch-lightning_version": "2.6.0", "loops": {}}
    torch.save(content, tmp_path / "foreign.ckpt")
    assert stage(command, "--ckpt_path", str(tmp_path / "foreign.ckpt")) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the checkpoint (ckpt_path) does not fit this MAEEGTask; missing: autoencoder.")
    assert "unexpected: weight" in error
    other = {"_class_path": "eeg2speech.tasks.AlignmentTask"}
    torch.save({**content, "hyper_parameters": other}, tmp_path / "other.ckpt")
    assert stage(command, "--ckpt_path", str(tmp_path / "other.ckpt")) == 1
    assert "other.ckpt: a checkpoint of AlignmentTask, while the config is for MAEEGTask" in capsys.readouterr().err
