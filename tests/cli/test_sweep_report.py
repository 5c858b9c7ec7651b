"""The statistics of a sweep, on figures that are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp

from eeg2speech.cli.sweep_config import SweepConfig
from eeg2speech.cli.sweep_report import MEASURES, NOISE, SweepRun, read_run, report
from eeg2speech.cli.sweep_tables import print_report
from eeg2speech.core.errors import DataError
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.intervals import over_repetitions
from eeg2speech.metrics.results import write_results
from tests.reporting.run_folders import alignment_test, reconstruction_test

NOISES = {0: 0.03, 1: -0.01, 2: 0.02}
"""What a seed adds to every figure."""
PLAN = SweepConfig([], factors={"encoder": {"untrained": [], "pretrained": []}, "pairs": {"all": [], "few": []}})
GAIN = {("pretrained", "all"): 0.0, ("pretrained", "few"): 0.1}


def figure(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 0.01)


def write_test(file: Path, model: float, cca: float = 0.2, noise: float = 0.05) -> None:
    results = alignment_test()
    assert results.alignment is not None
    split = results.alignment.splits["unseen_stimulus"]
    split = replace(
        split,
        figures={"model": dict.fromkeys(MEASURES, figure(model)), "cca": dict.fromkeys(MEASURES, figure(cca))},
        controls_mrr={"noise": figure(noise)},
        verdict=replace(split.verdict, aligned=model > 0.5),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_results(file, replace(results, alignment=replace(results.alignment, splits={"unseen_stimulus": split})))


def runs(folder: Path, seeds=NOISES) -> list[SweepRun]:
    found = []
    for encoder, pairs, seed in product(*PLAN.factors.values(), seeds):
        file = folder / encoder / pairs / str(seed) / "test.json"
        # the gain of a seed varies less than the seeds: only paired differences show it
        write_test(
            file, 0.4 + 5 * NOISES[seed] + GAIN.get((encoder, pairs), 0.0) * (1 + NOISES[seed]), 0.2 + NOISES[seed]
        )
        found.append(read_run(file, {"encoder": encoder, "pairs": pairs}, seed))
    return found


def test_the_interval_is_students():
    values = [0.3, 0.5, 0.45, 0.6]
    found = over_repetitions(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((0.4625, expected.low, expected.high))
    assert math.isnan(over_repetitions([0.3]).low)


def test_conditions_are_averaged_over_seeds_and_compared_with_the_linear_decoders(tmp_path: Path):
    found = report(PLAN, runs(tmp_path))
    assert [c["levels"] for c in found["conditions"]] == [
        {"encoder": "untrained", "pairs": "all"}, {"encoder": "untrained", "pairs": "few"},
        {"encoder": "pretrained", "pairs": "all"}, {"encoder": "pretrained", "pairs": "few"},
    ]  # fmt: skip
    part = found["conditions"][0]["splits"]["unseen_stimulus"]
    mean = sum(NOISES.values()) / 3
    assert part["figures"]["model"]["top10"]["mean"] == pytest.approx(0.4 + 5 * mean)
    assert part["figures"][NOISE]["mrr"]["mean"] == pytest.approx(0.05)
    assert part["model_above"]["cca"]["top1"]["values"] == pytest.approx([0.2 + 4 * n for n in NOISES.values()])
    assert (part["aligned"], part["runs"]) == (1, 3)
    assert part["chance"]["mrr"] == pytest.approx(0.01)


def test_differences_are_paired_by_seed_and_told_within_the_other_factors(tmp_path: Path):
    found = report(PLAN, runs(tmp_path))["differences"]
    by = {
        (d["factor"], *(d["within"] or {"": "over all"}).values()): d["splits"]["unseen_stimulus"]["mrr"] for d in found
    }
    assert by["encoder", "all"]["mean"] == pytest.approx(0, abs=1e-12)
    few = by["encoder", "few"]
    assert few["mean"] == pytest.approx(0.1 * (1 + sum(NOISES.values()) / 3))
    assert 0.09 < few["low"] < few["high"] < 0.115
    assert by["encoder", "over all"]["mean"] == pytest.approx(few["mean"] / 2)
    assert len(by["encoder", "over all"]["values"]) == 3  # cells of one seed are no repetitions
    assert by["pairs", "pretrained"]["mean"] == pytest.approx(few["mean"])


def test_a_run_that_is_missing_costs_its_pair_alone(tmp_path: Path):
    found = report(PLAN, [run for run in runs(tmp_path) if (run.levels["pairs"], run.seed) != ("few", 1)])
    by = {
        (d["factor"], *(d["within"] or {"": "over all"}).values()): d["splits"]["unseen_stimulus"]["mrr"]
        for d in found["differences"]
    }
    assert len(by["encoder", "few"]["values"]) == 2
    assert len(by["encoder", "all"]["values"]) == 3


def test_people_can_be_the_repetitions(tmp_path: Path):
    plan = SweepConfig([], factors={"person": {"a": [], "b": [], "c": []}}, over="person")
    made = []
    for number, person in enumerate(plan.factors["person"]):
        for seed in range(2):
            file = tmp_path / person / str(seed) / "test.json"
            write_test(file, 0.1 * number + 0.01 * seed)
            made.append(read_run(file, {"person": person}, seed))
    found = report(plan, made)
    (condition,) = found["conditions"]
    assert condition["splits"]["unseen_stimulus"]["figures"]["model"]["mrr"]["values"] == pytest.approx(
        [0.005, 0.105, 0.205]
    )
    assert found["differences"] == []
    assert found["intervals_over"] == "person"


def test_figures_that_do_not_exist_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_test(tmp_path / "test.json", 0.4, cca=math.nan)
    found = report(SweepConfig([]), [read_run(tmp_path / "test.json", {}, 0)])
    assert found["conditions"][0]["splits"]["unseen_stimulus"]["figures"]["cca"]["mrr"] is None
    json.dumps(found, allow_nan=False)
    print_report(found)
    assert "unseen stimuli" in capsys.readouterr().out


def test_another_kind_of_test_is_refused(tmp_path: Path):
    write_results(tmp_path / "test.json", reconstruction_test())
    with pytest.raises(DataError, match=r"test\.json.*alignment"):
        read_run(tmp_path / "test.json", {}, 0)
