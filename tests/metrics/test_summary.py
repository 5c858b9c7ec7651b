"""Verdicts and figures of a test in words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from eeg2speech.checkpoints.training_record import UNJUDGED
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import Results
from eeg2speech.metrics.summary import (
    main_figures,
    number,
    split_title,
    split_verdicts,
    splits_in_order,
    with_interval,
)
from tests.reporting.run_folders import alignment_test, reconstruction_test, speech_test


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1.0, "1"), (1.2345, "1.23"), (12.345, "12.3"), (1234.5, "1234"), (-0.5, "-0.500"),
     (0.0, "0.000"), (math.nan, "n/a"), (math.inf, "n/a"), (None, "n/a")],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value: float | None, text: str):
    assert number(value) == text


def test_an_interval_that_is_none_or_a_point_is_left_out():
    assert with_interval(Estimate(0.5, 0.4, 0.6, 0.1)) == "0.500 [0.400, 0.600]"
    assert with_interval(Estimate(0.5, math.nan, math.nan, 0.1)) == "0.500"
    assert with_interval(Estimate(1.0, 1.0, 1.0, 1.0)) == "1"


def test_the_judged_split_comes_first():
    splits = dict.fromkeys(("own", "unseen_both", "unseen_stimulus", "unseen_subject"))
    assert splits_in_order(splits, "unseen_both") == ["unseen_both", "unseen_stimulus", "unseen_subject", "own"]
    assert split_title("own_split") == "own split"
    assert split_title("unseen_both", "1 of 2 sounds") == "unseen stimuli and subjects (NOT UNSEEN)"


@pytest.mark.parametrize(
    ("results", "own", "outcome"),
    [(alignment_test(), 0.8, True), (alignment_test(False), 0.12, False), (speech_test(), 0.27, True),
     (reconstruction_test(), 0.3, True)],
)  # fmt: skip
def test_a_verdict_has_the_figures_that_it_compares(results: Results, own: float, outcome: bool):
    verdict = split_verdicts(results.compared)[0]
    assert verdict.split == "unseen_stimulus"
    assert verdict.estimate.value == own
    assert verdict.outcome is outcome
    assert len(verdict.compared) > 2
    assert all(verdict.reasons)


def test_a_split_that_was_trained_on_has_no_verdict():
    results = alignment_test()
    assert results.alignment is not None
    split = results.alignment.splits["unseen_stimulus"]
    split = replace(split, verdict=replace(split.verdict, seen="1 of 2 sounds"))
    results = replace(results, alignment=replace(results.alignment, splits={"unseen_stimulus": split}))
    (verdict,) = split_verdicts(results.compared)
    assert (verdict.words, verdict.outcome) == (UNJUDGED, None)
    assert main_figures(results)["verdict"] == 0


def test_a_test_without_comparison_has_no_verdict():
    results = replace(alignment_test(), alignment=None, metrics={"test/unseen_both/nmse": 0.5})
    assert split_verdicts(results.compared) == []
    assert main_figures(results) == {"nmse": 0.5}
