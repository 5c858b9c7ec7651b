"""Old names of options, configuration keys and classes are refused with one line that names the new ones."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

import pytest

from eeg2speech.cli import main, renamed, run_checked
from eeg2speech.cli.generate import generate
from eeg2speech.cli.plan import PlanOptions
from eeg2speech.cli.sweep import _run_logged
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.tasks.diffusion import DiffusionTask
from eeg2speech.training import EvaluateSpeech

ROOT = Path(__file__).parents[2]
DIFFUSION = f"--config={ROOT / 'configs/diffusion.yaml'}"
OLD = "eeg2speech.callbacks"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to be in, with config files of old names."""
    monkeypatch.chdir(tmp_path)
    files = {
        "model.yaml": "model:\n  init_args:\n    thaw: 0.5\n",
        "data.yaml": "data:\n  story: 4\n",
        "callback.yaml": f"trainer:\n  callbacks:\n    - class_path: {OLD}.TestSpeech\n",
        "lists.yaml": "trainer:\n  callbacks+:\n  - class_path: eeg2speech.training.EvaluateSpeech\n"
        "    init_args:\n      lists: [unseen_stimulus]\n",
        "outer.yaml": "model: parts/model.yaml\n",
        "parts/model.yaml": "class_path: eeg2speech.tasks.AlignmentTask\ninit_args:\n  rows: flat\n",
        "tool.yaml": "what: windows\n",
        "new.yaml": "model:\n  init_args:\n    optimizer:\n      init_args:\n        gamma: 1.0\n",
        "sweep.yaml": f"config: {ROOT / 'configs/alignment.yaml'}\noptions: [--data.pairs=0.1]\n",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fit", "--config=model.yaml"],
         "model.yaml: model.init_args.thaw was renamed; use model.init_args.encoder_freeze_fraction"),
        (["plan", "-c", "data.yaml"], "data.yaml: data.story was renamed; use data.hard_negatives"),
        (["fit", DIFFUSION, "--config", "callback.yaml"],
         f"callback.yaml: {OLD}.TestSpeech was renamed; use eeg2speech.training.EvaluateSpeech"),
        (["fit", "--config", "outer.yaml"],
         "parts/model.yaml: model.init_args.rows was renamed; use model.init_args.spatial_pooling"),
        (["fit", DIFFUSION, "--model.init_args.gamma", "5"],
         "--model.init_args.gamma was renamed; use --model.init_args.min_snr_gamma"),
        (["plan", DIFFUSION, "--model.dropped=0"], "--model.dropped was renamed; use --model.cond_dropout"),
        (["fit", DIFFUSION, "--model.init_args={control: 8}"],
         "--model.init_args.control was renamed; use --model.init_args.concat_channels"),
        (["test", DIFFUSION, f"--trainer.callbacks+={OLD}.checkpoints.SoundCheckpoint"],
         f"{OLD}.checkpoints.SoundCheckpoint was renamed; use eeg2speech.training.AtomicCheckpoint"),
        (["fit", DIFFUSION, "--trainer.callbacks+", f"{{class_path: {OLD}.StepSeed}}"],
         f"{OLD}.StepSeed was renamed; use eeg2speech.training.StepSeed"),
        (["test", DIFFUSION, "--config", "lists.yaml"],
         "lists.yaml: trainer.callbacks+.init_args.lists was renamed; use trainer.callbacks+.init_args.splits"),
        (["test", DIFFUSION, "--trainer.callbacks.lists=[unseen_both]"],
         "--trainer.callbacks.lists was renamed; use --trainer.callbacks.splits"),
        (["plan", DIFFUSION, "--share", "0.3"], "--share was renamed; use --mfu"),
        (["generate", "--what=windows"], "--what was renamed; use --unit"),
        (["generate", "--parts", "[train]"], "--parts was renamed; use --splits"),
        (["generate", "--config", "tool.yaml"], "tool.yaml: what was renamed; use unit"),
        (["sweep", "sweep.yaml", "out"],
         "sweep.yaml: --data.pairs was renamed; use --data.train_fraction (options)"),
    ],
)  # fmt: skip
def test_an_old_name_is_refused_in_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(argv) == 1
    assert capsys.readouterr() == ("", f"error: {message}\n")


def test_a_stage_checks_names_before_slow_imports(monkeypatch):
    monkeypatch.setitem(sys.modules, "eeg2speech.cli.lightning", None)  # its import fails
    with pytest.raises(ConfigError, match="encoder_freeze_fraction"):
        run_checked(["fit", DIFFUSION, "--model.init_args.thaw=1"])


def test_a_sweep_checks_the_names_in_its_configs(tmp_path):
    old = tmp_path / "old.yaml"
    old.write_text("model:\n  init_args:\n    thaw: 1\n")
    with pytest.raises(ConfigError, match="encoder_freeze_fraction"):
        _run_logged(["fit", DIFFUSION, f"--config={old}"], tmp_path / "run")


def test_the_same_word_elsewhere_is_no_old_name():
    words = ["--config=new.yaml", "--run=data.yaml", "--data.simulation={story: 1}", "--config", "gone.yaml"]
    renamed.check_renamed("fit", words)


def test_every_new_name_exists():
    settings = {
        "model": {name for stage in (AlignmentTask, DiffusionTask) for name in inspect.signature(stage).parameters},
        "data": set(inspect.signature(EEGAudioDataModule).parameters),
        "trainer.callbacks": set(inspect.signature(EvaluateSpeech).parameters),
    }
    for old, new in renamed.KEYS.items():
        place, _, name = old.rpartition(".")
        assert new in settings[place]
        assert name not in settings[place]
    assert set(renamed.OPTIONS["plan"].values()) <= set(inspect.signature(PlanOptions).parameters)
    assert set(renamed.OPTIONS["generate"].values()) <= set(inspect.signature(generate).parameters)
    for module in renamed.MODULES.values():
        importlib.import_module(module)
    training = importlib.import_module("eeg2speech.training")
    assert all(hasattr(training, new) and not hasattr(training, old) for old, new in renamed.CLASSES.items())
