"""The schema of test.json: what is written is read again, and anything else is refused in one line."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from eeg2speech.checkpoints.training_record import UNJUDGED, Overlap
from eeg2speech.core.errors import DataError
from eeg2speech.metrics import Effect, Estimate, Verdict
from eeg2speech.metrics.results import (
    EvaluatedCheckpoint,
    Results,
    SeenSplits,
    TrainingSummary,
    judge_reconstruction,
    judged_split,
    read_results,
    write_results,
)
from tests.reporting.run_folders import alignment_test, reconstruction_test, speech_test


def every_result() -> Results:
    """Results that use every key."""
    aligned = alignment_test()
    return replace(
        aligned,
        checkpoint=EvaluatedCheckpoint("runs/m/best.ckpt", "ab" * 32, 10),
        data=replace(aligned.data, conditions=["listening"]),
        metrics={"test/unseen_stimulus/loss": 1.5},
        trained_on=[
            TrainingSummary("MAEEGTask", "eeg", 3, ["sub-01"], "demo", "store", "cd", {"by": "stimulus"}, None)
        ],
        seen=SeenSplits(
            {"unseen_stimulus": Overlap(sounds=("story",), all_sounds=4, stages=("MAEEGTask",))}, ["a note"]
        ),
        reconstruction=reconstruction_test().reconstruction,
        probes=reconstruction_test().probes,
        speech=speech_test().speech,
    )


def test_what_is_written_is_read_again(tmp_path):
    results = every_result()
    write_results(tmp_path / "test.json", results)
    assert read_results(tmp_path / "test.json") == results
    assert [file.name for file in tmp_path.iterdir()] == ["test.json"]


def test_keys_are_snake_case_and_numbers_not_finite_are_null(tmp_path):
    found = every_result().to_json()
    found["alignment"]["window"] = math.nan

    def keys(value):
        if isinstance(value, dict):
            yield from value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from keys(inner)

    assert all(key == key.lower() and " " not in key and "," not in key for key in keys(found))
    results = Results.from_json(json.loads(json.dumps(found).replace("NaN", "null")))
    assert math.isnan(results.alignment.window)
    assert results.to_json()["alignment"]["window"] is None


def test_maps_keep_their_order(tmp_path):
    results = every_result()
    write_results(tmp_path / "test.json", results)
    again = read_results(tmp_path / "test.json")
    assert list(again.data.windows) == ["train", "val", "unseen_stimulus"]
    assert list(again.reconstruction.splits["unseen_stimulus"].nmse) == ["model", "kriging", "mean"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda found: found.pop("version"), "version of the results is none, this eeg2speech reads 2"),
        (lambda found: found.update(version=0), "version of the results is 0, this eeg2speech reads 2"),
        (lambda found: found.pop("stage"), "stage is missing"),
        (lambda found: found["alignment"]["splits"]["unseen_stimulus"].pop("verdict"), r"unseen_stimulus\.verdict is"),
        (lambda found: found["alignment"].update(splits=[]), r"alignment\.splits has the value '\[\]'"),
        (lambda found: found["alignment"].update(window="long"), r"alignment\.window has the value 'long'"),
        (
            lambda found: found["probes"]["subject"].update(windows=True),
            r"subject\.windows has the value 'True'",
        ),
        (lambda found: found["probes"]["subject"].update(groups="day"), r"groups has the value 'day'"),
    ],
)
def test_another_version_and_damage_name_file_key_and_remedy(damage, words):
    found = every_result().to_json()
    damage(found)
    with pytest.raises(DataError, match=rf"runs/m/test.json: .*{words}.*test the checkpoint again"):
        Results.from_json(found, "runs/m/test.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3"])
def test_a_file_that_holds_no_results_is_refused(tmp_path, text):
    (tmp_path / "test.json").write_text(text)
    with pytest.raises(DataError, match="test the checkpoint again"):
        read_results(tmp_path / "test.json")


def test_a_key_of_a_later_program_is_ignored():
    results = every_result()
    assert Results.from_json({**results.to_json(), "later": 1}) == results


def test_verdicts_say_the_same_of_every_stage():
    results = every_result()
    for one, words in (
        (results.alignment, "aligned"),
        (results.speech, "EEG carries speech information"),
        (results.reconstruction, "better than every baseline (kriging is next)"),
    ):
        assert one.verdict.words == words
        assert one.verdict.outcome is True
    assert Verdict(False, [], 0.5, Effect(0, 0)).words == "not aligned"
    seen = Verdict(False, [], 0.5, Effect(0, 0), "1 of 2 sounds trained on (story)")
    assert (seen.words, seen.outcome) == (UNJUDGED, None)
    assert results.compared is results.speech
    assert results.seen.text("unseen_stimulus") == "1 of 4 sounds trained on (story)"
    assert results.seen.text("unseen_both") == ""


@pytest.mark.parametrize(
    ("others", "better", "words"),
    [
        ({}, None, "not compared"),
        ({"ridge": math.nan}, None, "not compared"),
        ({"ridge": 0.9, "kriging": 0.6}, True, "better than every baseline (kriging is next)"),
        ({"spline": 0.52}, None, "not distinguishable from spline"),
        ({"spline": 0.2, "ridge": math.nan}, False, "worse than spline"),
    ],
)
def test_a_reconstruction_is_judged_by_the_best_baseline(others, better, words):
    def around(value):
        return Estimate(value, value - 0.02, value + 0.02, 1.0)

    nmse = {"model": around(0.5), **{name: around(value) for name, value in others.items()}}
    verdict = judge_reconstruction(nmse)
    assert (verdict.better, verdict.words) == (better, words)
    seen = judge_reconstruction(nmse, "1 of 2 sounds trained on (story)")
    assert (seen.words, seen.outcome) == (UNJUDGED, None)


def test_new_stimuli_are_judged_where_there_are_any():
    assert judged_split(["unseen_both", "unseen_stimulus"]) == "unseen_stimulus"
    assert judged_split(["unseen_both", "unseen_subject"]) == "unseen_both"
