"""The benchmark of peers: its table, its options, and that a finished fit is not repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import peers


def result(mrr: float, aligned: bool = True) -> dict[str, Any]:
    figures = {
        name: {measure: {"value": mrr} for measure in peers.MEASURES}
        for name in ("model", "cca_pooled", "ideal_observer")
    }
    split = {"figures": figures, "verdict": {"aligned": aligned}}
    return {"steps": 8, "step_seconds": 1.0, "val_mrr": mrr, "splits": dict.fromkeys(peers.SPLITS, split)}


def test_the_table_has_means_and_intervals_over_seeds():
    found = {"eegnet": [result(0.2), result(0.4, aligned=False)]}
    lines = peers.table(found, ["eegnet", "cca_own", "cca_pooled", "ideal_observer"]).splitlines()
    assert len(lines) == 6
    assert len({line.count("|") for line in lines}) == 1
    assert "0.300 [-0.971, 1.571]" in lines[2]  # 12.706 * 0.1414 / sqrt(2)
    assert lines[2].endswith("| 3 of 6 |")
    assert "0.300" not in lines[3]


def test_a_finished_fit_is_read_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    options = peers.parsed([str(tmp_path), "--snr", "-20", "--seeds", "1", "2", "--models", "eegnet,cca"])
    for seed in (1, 2):
        file = tmp_path / f"{peers.key_of('eegnet', options)}_-20dB_{seed}_test.json"
        file.write_text(json.dumps(result(0.1 * seed)))
    monkeypatch.setattr(peers, "run", lambda *_: pytest.fail("a command was run"))
    peers.main(options)
    assert "CCA, pooled" in capsys.readouterr().out


def test_settings_reach_the_fit_and_make_it_another_one(tmp_path: Path):
    plain = peers.parsed([str(tmp_path), "--snr=-inf"])
    changed = peers.parsed([str(tmp_path), "--set", "model.init_args.width=64", "--stage1", "runs/maeeg/encoder"])
    assert "--model.init_args.width=64" in peers.words_of("simpleconv", -20.0, 3, changed)
    words = peers.words_of("maeeg", plain.snr[0], 3, plain)
    assert {"--data.simulation.snr=-.inf", "--data.split.seed=3", "--seed_everything=3"} <= set(words)
    assert "--model.init_args.encoder_weights=null" in words
    assert "--model.init_args.encoder_weights=runs/maeeg/encoder" in peers.words_of("maeeg", -20.0, 3, changed)
    assert peers.key_of("simpleconv", plain) != peers.key_of("simpleconv", changed)


@pytest.mark.parametrize("models", ["cca", "maeeg,transformer"])
def test_models_that_do_not_exist_or_cannot_stand_alone_are_refused(models: str, tmp_path: Path):
    with pytest.raises(SystemExit):
        peers.parsed([str(tmp_path), "--models", models])
