"""Mixed precision and compiled encoders train what plain ones do, and leave the same checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main

STAGES = {"maeeg": "tiny", "alignment": "tiny_alignment"}


def fit(stage: str, store: Path, run: Path, *more: str) -> dict[str, Any]:
    """Fit, and give the last checkpoint."""
    configs = [f"--config=configs/{stage}.yaml", f"--config=tests/conf/{STAGES[stage]}.yaml"]
    assert main(["fit", *configs, f"--data.store={store}", f"--run={run}", *more]) == 0
    return read_checkpoint(run / "checkpoints/last.ckpt")


def best_score(checkpoint: dict[str, Any]) -> float:
    (state,) = [value for key, value in checkpoint["callbacks"].items() if key.startswith("ModelCheckpoint")]
    return float(state["best_model_score"])


@pytest.mark.parametrize("stage", STAGES)
def test_bfloat16_on_a_cpu_comes_close_to_single_precision(stage: str, tiny_store: Path, tmp_path: Path):
    single = fit(stage, tiny_store, tmp_path / "single")
    mixed = fit(stage, tiny_store, tmp_path / "mixed", "--trainer.precision=bf16-mixed")
    assert best_score(mixed) == pytest.approx(best_score(single), rel=0.05)
    assert any(not torch.equal(value, single["state_dict"][name]) for name, value in mixed["state_dict"].items())
    for name, value in mixed["state_dict"].items():
        assert value.dtype == single["state_dict"][name].dtype, name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_encoder_resumes_and_is_tested_without_the_compiler(tiny_store: Path, tmp_path: Path):
    compiled = "--model.init_args.compile=true"
    plain = fit("maeeg", tiny_store, tmp_path / "plain")
    first = fit("maeeg", tiny_store, tmp_path / "compiled", compiled)
    assert first["state_dict"].keys() == plain["state_dict"].keys()
    again = fit("maeeg", tiny_store, tmp_path / "compiled", compiled, "--ckpt_path=last", "--trainer.max_steps=12")
    assert again["global_step"] == 12
    configs = ["--config=configs/maeeg.yaml", "--config=tests/conf/tiny.yaml", f"--data.store={tiny_store}"]
    assert main(["test", *configs, f"--run={tmp_path / 'compiled'}", "--ckpt_path=best"]) == 0
    on = fit("maeeg", tiny_store, tmp_path / "on", f"--ckpt_path={tmp_path / 'compiled/checkpoints/last.ckpt'}",
             "--trainer.max_steps=14")  # fmt: skip
    assert on["global_step"] == 14
