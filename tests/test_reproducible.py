"""A run's own config, alone, repeats it bit for bit on a CPU: the three stages, one after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from audioldm2_tiny import write_tiny
from torch.utils._python_dispatch import TorchDispatchMode

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main
from eeg2speech.models import SpectrogramViT

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
SLOW = pytest.mark.slow


class NoRace(TorchDispatchMode):
    """Refuses sums whose order several threads leave to chance, as the gradient of ``x[rows]`` is."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not (func is torch.ops.aten.index_put.default and len(args) > 3 and args[3]), args[0].shape
        return func(*args, **(kwargs or {}))


LEAN = (
    "--trainer.callbacks=[{class_path: eeg2speech.training.StepSeed}, "
    "{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {filename: best, save_last: true}}, "
    "{class_path: eeg2speech.training.ExportEncoder}]"
)


@pytest.fixture(scope="module")
def run_of(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a stage's run, and those before it where they are missing, with what is random in training switched on."""
    root = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    encoder = SpectrogramViT(width=16, depth=1, heads=2).encoder
    described = {"class": "ViTEncoder", "config": encoder.config}
    write_export(root / "audio", {"encoder": Part(described, dict(encoder.state_dict()))}, {}, {})
    stages: dict[str, tuple[str, list[str]]] = {
        "maeeg": ("tiny", [LEAN, "--data.augment.flip=0.5"]),
        "alignment": (
            "tiny_alignment",
            [
                LEAN, f"--model.init_args.encoder_weights={root / 'maeeg/encoder'}", "--model.init_args.dropout=0.2",
                "--model.init_args.subject_dropout=0.3",
            ],
        ),
        "diffusion": (
            "tiny_diffusion",
            [
                f"--model.init_args.components={write_tiny(root / 'components')}",
                f"--model.init_args.audio_weights={root / 'audio'}", "--model.init_args.cond_dropout=0.3",
                f"--model.init_args.aligner={root / 'alignment/aligner'}",
            ],
        ),
    }  # fmt: skip

    def run_of(wanted: str) -> Path:
        for stage, (overlay, options) in stages.items():
            configs = [f"--config=configs/{stage}.yaml", f"--config=tests/conf/{overlay}.yaml"]
            if not (root / stage).is_dir():
                with NoRace():
                    assert main(["fit", *configs, f"--data.store={tiny_store}", f"--run={root / stage}", *options]) == 0
            if stage == wanted:
                break
        return root / wanted

    return run_of


def learned(run: Path) -> dict[str, Any]:
    """Weights, and everything that the optimizer keeps, by name."""
    checkpoint = read_checkpoint(run / "checkpoints/last.ckpt")
    (optimizer,) = checkpoint["optimizer_states"]
    state = {f"{place} {name}": value for place, kept in optimizer["state"].items() for name, value in kept.items()}
    return {**checkpoint["state_dict"], **checkpoint.get("trained_weights", {}), **state}


def equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """To the last bit."""
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
        for name, value in first.items()
    )


@pytest.mark.parametrize(
    "stage", ["maeeg", pytest.param("alignment", marks=SLOW), pytest.param("diffusion", marks=SLOW)]
)
def test_the_saved_config_repeats_the_run(stage: str, run_of: Callable[[str], Path], tmp_path: Path):
    run = run_of(stage)
    torch.rand(7)  # whatever was drawn before must not matter
    assert main(["fit", "--config", str(run / "config.yaml"), "--run", str(tmp_path / "again")]) == 0
    assert equal(learned(run), learned(tmp_path / "again"))


def test_without_another_folder_the_first_run_is_kept(run_of: Callable[[str], Path]):
    run = run_of("maeeg")
    before = learned(run)
    assert main(["fit", "--config", str(run / "config.yaml"), "--seed_everything=1"]) == 0
    assert equal(before, learned(run.with_name("maeeg.1")))
    assert not equal(before, learned(run))
