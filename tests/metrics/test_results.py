"""The schema of test.json: what is written is read again, and anything else is refused in one line."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from eeg2speech.checkpoints.training_record import UNJUDGED, Overlap
from eeg2speech.core.errors import DataError
from eeg2speech.metrics import Effect, Estimate, Null, Verdict
from eeg2speech.metrics.frechet import Frechet
from eeg2speech.metrics.identification import Memorisation
from eeg2speech.metrics.results import (
    VERSION,
    AlignmentResult,
    AlignmentSplit,
    ElectrodeDrop,
    ElectrodeImportance,
    EvaluatedCheckpoint,
    EvaluatedData,
    GalleryResult,
    LagResult,
    NullSummary,
    ProbedTarget,
    ReconstructionResult,
    ReconstructionSplit,
    Results,
    RetrievalResult,
    SeenSplits,
    SpeechResult,
    SpeechSplit,
    TrainingSummary,
    VariantResult,
    judge_reconstruction,
    judged_split,
    read_results,
    write_results,
)
from eeg2speech.metrics.verdict import SpeechVerdict

VALUE = Estimate(0.5, 0.4, 0.6, 0.1)
NULL = NullSummary.of(Null(0.5, np.linspace(0, 0.2, 100), 30, 30))
GALLERY = GalleryResult(10, VALUE, NULL)
ALIGNED = Verdict(True, ["MRR exceeds everything"], 0.001, Effect(4.0, 5.0))
INFORMED = SpeechVerdict(True, ["it exceeds"], 10, VALUE, 0.001, Effect(4.0, 5.0), {"noise": VALUE})


def every_result() -> Results:
    """Results that use every key."""
    nmse = {"model": Estimate(0.3, 0.2, 0.4, 1.0), "kriging": Estimate(0.5, 0.45, 0.55, 1.0)}
    electrodes = ElectrodeImportance(2, [ElectrodeDrop("Cz", (0.0, 0.0, 0.1), VALUE)])
    aligned = AlignmentSplit(
        30, 10, ALIGNED, {"model": {"mrr": VALUE}}, {"match_2023": VALUE}, {"noise": VALUE}, {"mrr": NULL},
        [RetrievalResult("eeg_to_sound", None, 10.0, "sub-01", 30, {"mrr": VALUE})], {"top1": [GALLERY]},
        [LagResult(-0.1, VALUE)], {"modality_gap": 0.2}, [0.1, 0.2], electrodes,
    )  # fmt: skip
    variant = VariantResult(
        30, [GALLERY], {"mel_corr": VALUE}, {"pesq": 1}, Frechet(1.0, 2, 3, 0.5), Memorisation(0.1, 0.9)
    )
    return Results(
        VERSION, "0.1.0", "DiffusionTask", EvaluatedCheckpoint("runs/m/best.ckpt", "ab" * 32, 10),
        {"test/unseen_stimulus/loss": 1.5},
        EvaluatedData("demo", True, "store", "cd", {"by": "stimulus"}, ["heard"], {"train": 3, "unseen_stimulus": 30}),
        [TrainingSummary("MAEEGTask", "eeg", 3, ["sub-01"], "demo", "store", "cd", {"by": "stimulus"}, None)],
        SeenSplits({"unseen_stimulus": Overlap(sounds=("story",), all_sounds=4, stages=("MAEEGTask",))}, ["a note"]),
        ReconstructionResult("unseen_stimulus", "NMSE", {"ratio": 0.8}, {
            "unseen_stimulus": ReconstructionSplit(30, nmse, judge_reconstruction(nmse)),
        }),
        {"subject": ProbedTarget("stimulus", 30, {"encoder": {"linear": VALUE}})},
        AlignmentResult("unseen_stimulus", "retrieval", 3.2, "steps", {"unseen_stimulus": aligned}),
        SpeechResult("unseen_stimulus", "identification", 3.2, {"steps": 50}, {"pesq": "not installed"}, {
            "unseen_stimulus": SpeechSplit(30, 10, 3, ["story"], INFORMED, {"eeg": variant}),
        }),
    )  # fmt: skip


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
    assert list(again.data.windows) == ["train", "unseen_stimulus"]
    assert list(again.reconstruction.splits["unseen_stimulus"].nmse) == ["model", "kriging"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda found: found.pop("version"), "version of the results is none, this eeg2speech reads 1"),
        (lambda found: found.update(version=0), "version of the results is 0, this eeg2speech reads 1"),
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
    assert results.seen_text("unseen_stimulus") == "1 of 4 sounds trained on (story)"
    assert results.seen_text("unseen_both") == ""


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
