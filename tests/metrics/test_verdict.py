from __future__ import annotations

import numpy as np
import pytest
from spaces import embeddings

from eeg2speech.metrics import Interval, Null, judge, permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import reciprocal

DRAWS = np.random.default_rng(0).normal(0.05, 0.01, 1000)
CONTROLS = {"noise": Interval(0.05, 0.04, 0.06), "untrained": Interval(0.06, 0.05, 0.08)}


def null(observed, draws=DRAWS, windows=100):
    return Null(observed, draws, windows, 100)


def test_a_model_above_permutations_and_controls_is_aligned():
    verdict = judge(null(0.3), CONTROLS)
    assert verdict.aligned
    assert verdict.p == 1 / 1001
    assert verdict.effect.z == pytest.approx(25, rel=0.1)
    assert verdict.effect.ratio == pytest.approx(6, rel=0.1)
    assert "exceeds the 99th percentile of 1000 permutations" in verdict.reasons[0]
    assert "untrained" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("figure", "controls", "reason"),
    [
        (null(0.055), CONTROLS, "does not exceed the 99th percentile"),
        (null(0.3), CONTROLS | {"zeros": Interval(0.4, 0.3, 0.5)}, "does not exceed control zeros"),
        (null(0.3), CONTROLS | {"zeros": Interval(0.29, 0.2, 0.4)}, "not the upper bound"),
        (null(0.3), CONTROLS | {"zeros": Interval(0.3, np.nan, np.nan)}, "does not exceed control zeros"),
        (null(0.3), CONTROLS | {"zeros": Interval(np.nan, np.nan, np.nan)}, "control zeros is not a number"),
        (null(0.3), {}, "no control was run"),
        (null(np.nan), CONTROLS, "is not a number"),
        (null(0.3, DRAWS[:100]), CONTROLS, "only 100 permutations"),
        (null(0.3, windows=0), CONTROLS, "no sound could be permuted"),
        (null(0.3, np.full(1000, 0.3)), CONTROLS, "does not exceed the 99th percentile"),
    ],
)
def test_a_model_that_fails_one_criterion_is_not_aligned(figure, controls, reason):
    verdict = judge(figure, controls)
    assert not verdict.aligned
    assert any(reason in line for line in verdict.reasons)


def test_every_reason_is_given():
    controls = {"a": Interval(0.5, 0.4, 0.6), "b": Interval(0.5, 0.4, 0.6)}
    assert len(judge(null(0.05), controls).reasons) == 3


def test_a_control_above_the_permutations_is_named():
    verdict = judge(null(0.3), CONTROLS | {"subject only": Interval(0.12, 0.1, 0.14)})
    assert verdict.aligned
    assert "control subject only also exceeds the 99th percentile" in verdict.reasons[1]


@pytest.mark.parametrize("signal", [0.0, 0.7])
def test_from_embeddings_to_verdict(signal):
    compared = embeddings(np.random.default_rng(0), signal=signal).compare()
    verdict = judge(
        permutation_null(retrieval_scores(compared, reciprocal())), {"zeros": Interval(0.157, 0.157, 0.157)}
    )
    assert verdict.aligned == (signal > 0)
