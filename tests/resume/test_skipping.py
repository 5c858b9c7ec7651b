"""Two ranks agree on a step that one of them cannot take."""

from __future__ import annotations

from pathlib import Path

import pytest
from forked import run
from tiny_runs import TWO_RANKS, fit, last, log

POISON = "--trainer.callbacks+={class_path: tests.training.poison.Poison, init_args: "


@pytest.mark.slow
def test_two_ranks_skip_together_and_name_what_one_saw(tiny_store: Path, tmp_path: Path):
    poison = f"{POISON}{{steps: [2, 5], rank: 1}}}}"
    status = run(fit("maeeg", tiny_store, tmp_path / "run", *TWO_RANKS, poison), tmp_path / "log", 2)
    assert status == [0, 0], log(tmp_path)
    assert all(value.isfinite().all() for value in last(tmp_path / "run")["state_dict"].values())
    kept = sorted(file.name for file in (tmp_path / "run/nonfinite").iterdir())
    assert kept == ["step2-rank1-0.safetensors", "step5-rank1-0.safetensors"]
    told = (tmp_path / "log.0").read_text()
    assert told.count("is skipped: the loss of windows of sub-") == 2
    assert last(tmp_path / "run")["callbacks"]["SkipNonFinite"] == {"skipped": 2, "in_a_row": 0}
