"""Stage 2 evaluated from the command line and from Python, on models that have learned nothing from noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from eeg2speech.checkpoints.parts import read_data
from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.evaluation.alignment import evaluate_alignment
from eeg2speech.evaluation.controls import embed_control, embed_split, shuffling_groups, untrained
from eeg2speech.evaluation.electrodes import _spread_positions, _zero_nearest
from eeg2speech.evaluation.models import batch_embedder
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.metrics.results import read_results
from eeg2speech.tasks import AlignmentTask
from tests.tiny_stores import head_channels

CONFIG = ["--config", "configs/alignment.yaml", "--config", "tests/conf/tiny_alignment.yaml"]
VERDICT_ONLY = """--trainer.callbacks=[
{class_path: eeg2speech.training.AtomicCheckpoint, init_args: {monitor: val/mrr, mode: max}},
{class_path: eeg2speech.training.EvaluateAlignment, init_args: {lags: [0.0], linear: false, electrodes: 0}},
{class_path: eeg2speech.training.WriteResults}]"""
SPLIT = Split(by="both", test=0.2, val=0.1, test_subjects=1)


@pytest.fixture(scope="module")
def run(tested_alignment):
    return tested_alignment


@pytest.fixture(scope="module")
def results(run):
    return read_results(run / "test.json")


def data_of(store, **settings):
    given = {"window": 0.64, "hop": 0.32, "batch_size": 8, "split": SPLIT, "audio": True} | settings
    data = EEGAudioDataModule(store=store, **given)
    data.setup("test")
    return data


def task_of(run):
    return AlignmentTask.load_from_checkpoint(run / "checkpoints" / "best.ckpt", map_location="cpu")


def loaded_model(run, data):
    """The model of a run as ``load_aligner`` gives it for a store that was prepared from recordings."""
    task = task_of(run)
    info = TrainingDataInfo(
        "tiny", True, data.window, data.lag, data.clamp, Preprocessing(), tuple(task.subjects), (),
        read_data(run / "checkpoints" / "best.ckpt"),
    )  # fmt: skip
    return AlignmentModel(task.aligner, info)


@pytest.fixture(scope="module")
def loaded(run, tiny_store):
    return task_of(run), data_of(tiny_store)


def test_every_split_ends_in_a_verdict_with_figures_and_controls(results):
    found = results.alignment
    assert results.stage == "AlignmentTask"
    assert found.judged == "unseen_stimulus"
    assert set(found.splits) == {"unseen_stimulus", "unseen_subject", "unseen_both"}
    for split in found.splits.values():
        assert split.verdict.reasons
        assert {"model", "ridge_pooled", "cca_pooled"} <= set(split.figures)
        controls = {"noise", "phase_randomised", "another_trial", "zeros", "subject_only", "untrained"}
        assert set(split.controls_mrr) == controls
        assert split.permutations["mrr"].permutations == 1000
        top1 = split.figures["model"]["top1"]
        assert 0 <= top1.low <= top1.value <= top1.high <= 1
        assert top1.chance == pytest.approx(1 / split.gallery, rel=1e-6)


def test_curves_end_at_the_whole_gallery_and_pass_the_trained_lag(results):
    for split in results.alignment.splits.values():
        whole = split.galleries["top1"][-1]
        assert whole.gallery == split.gallery
        assert whole.estimate.value == pytest.approx(split.figures["model"]["top1"].value)
        assert all(point.null.low <= point.null.high for point in split.galleries["top1"])
        at_zero = next(point for point in split.lag_curve if point.lag == 0)
        assert at_zero.mrr.value == pytest.approx(split.figures["model"]["mrr"].value)


def test_electrode_importance_is_that_of_the_judged_split(results):
    importance = results.alignment.splits["unseen_stimulus"].electrodes
    assert sorted(drop.name for drop in importance.drops) == [f"E{i}" for i in range(8)]
    assert importance.zeroed == 1
    assert results.alignment.splits["unseen_subject"].electrodes is None


def test_noise_is_never_called_aligned(results):
    assert not any(split.verdict.aligned for split in results.alignment.splits.values())


@pytest.mark.parametrize("kind", ["task", "loaded"])
def test_python_finds_what_the_command_line_finds(run, tiny_store, results, kind):
    data = data_of(tiny_store)
    model = task_of(run) if kind == "task" else loaded_model(run, data)
    found = evaluate_alignment(model, data, lags=(), linear=False, electrodes=0)
    for split, expected in results.alignment.splits.items():
        one = found.splits[split]
        assert one.figures["model"] == expected.figures["model"]
        for name in ("permutations", "controls_mrr", "geometry", "verdict"):
            assert str(getattr(one, name)) == str(getattr(expected, name))  # NaN is unlike NaN


@pytest.mark.parametrize("kind", ["task", "loaded"])
def test_splits_that_were_trained_on_are_refused_in_python_too(run, tiny_store, kind):
    data = data_of(tiny_store, split=Split(by="both", test=0.5, val=0.1, test_subjects=1, seed=5))
    model = task_of(run) if kind == "task" else loaded_model(run, data)
    settings = {"permutations": 20, "lags": (), "linear": False, "electrodes": 0}
    with pytest.raises(ConfigError, match="not unseen"):
        evaluate_alignment(model, data, **settings)
    data.allow_seen = True
    found = evaluate_alignment(model, data, **settings)
    assert found.verdict.outcome is None
    assert "trained on" in found.verdict.seen


def test_windows_unlike_those_of_training_are_refused(run, tiny_store):
    model = loaded_model(run, data_of(tiny_store))
    with pytest.raises(ConfigError, match=r"data.window=1.28 s, but the model was trained with window=0.64 s"):
        evaluate_alignment(model, data_of(tiny_store, window=1.28))
    with pytest.raises(ConfigError, match=r"\(data\.audio\)"):
        evaluate_alignment(model, data_of(tiny_store, audio=False))
    with pytest.raises(ConfigError, match=r"call data.setup\('test'\) first"):
        evaluate_alignment(model, EEGAudioDataModule(store=tiny_store, window=0.64, audio=True))


@pytest.mark.parametrize("callbacks", [[VERDICT_ONLY], pytest.param([], marks=pytest.mark.slow)], ids=["few", "all"])
def test_a_single_sound_to_test_on_ends_in_a_verdict_against(tiny_store, tmp_path, callbacks):
    one = ["--data.split.by", "stimulus", "--data.split.test", "0.125", "--run", str(tmp_path)]
    common = [*CONFIG, "--data.store", str(tiny_store), *one, *callbacks]
    assert main(["fit", *common, "--trainer.max_steps", "1", "--trainer.val_check_interval", "1"]) == 0
    assert main(["test", *common, "--ckpt_path", "last"]) == 0
    assert main(["report", str(tmp_path)]) == 0
    (found,) = read_results(tmp_path / "test.json").alignment.splits.values()
    assert math.isnan(found.controls_mrr["another_trial"].value)
    assert found.verdict.aligned is False
    assert any("another trial is not a number: it has no windows" in reason for reason in found.verdict.reasons)


def test_embeddings_do_not_depend_on_the_batches(loaded):
    task, data = loaded
    whole = embed_split(task, data, "unseen_stimulus")
    data.batch_size = 3
    torch.testing.assert_close(
        torch.from_numpy(embed_split(task, data, "unseen_stimulus").eeg), torch.from_numpy(whole.eeg)
    )
    data.batch_size = 8


def test_subjects_of_the_same_sound_share_its_key(loaded):
    task, data = loaded
    model = embed_split(task, data, "unseen_stimulus")
    assert len(np.unique(model.key)) == len(model.key) / len(np.unique(model.subject))


def test_another_trial_is_of_the_same_subject_and_of_another_stimulus(loaded):
    task, data = loaded
    model = embed_split(task, data, "unseen_stimulus")
    other = embed_control(task, data, "unseen_stimulus", model, None)
    for row, vector in enumerate(other.eeg):
        source = np.flatnonzero((model.eeg == vector).all(axis=1))
        assert (model.subject[source] == other.subject[row]).all()
        assert (model.stimulus[source] != other.stimulus[row]).all()


def test_the_untrained_model_keeps_the_side_of_the_sound(loaded):
    task, data = loaded
    fresh = untrained(batch_embedder(task, data))
    model, other = (embed_split(one, data, "unseen_stimulus") for one in (task, fresh))
    np.testing.assert_array_equal(model.sound, other.sound)
    assert not np.allclose(model.eeg, other.eeg, atol=0.05)
    assert task.aligner is not fresh.aligner


def groups(stimulus, key, subject):
    return shuffling_groups(*(np.asarray(values, np.int64) for values in (key, subject, stimulus))).tolist()


def test_sounds_are_shuffled_within_their_stimulus():
    assert groups(stimulus=[0, 0, 1, 1], key=[0, 1, 2, 3], subject=[0, 0, 0, 0]) == [0, 0, 1, 1]


def test_single_sounds_are_shuffled_among_those_of_the_same_subjects():
    found = groups(stimulus=[0, 1, 2, 3], key=[0, 1, 2, 3], subject=[5, 5, 6, 6])
    assert found[0] == found[1] != found[2] == found[3]


def test_the_nearest_electrodes_of_each_montage_are_set_to_zero():
    positions = torch.tensor(
        [[[0.0, 0, 0.1], [0, 0.01, 0.1], [0, 0.05, 0.1]], [[0, 0.05, 0.1], [0, 0, 0.1], [0, 0, 0]]]
    )
    batch = {"eeg": torch.ones(2, 3, 5), "positions": positions}
    eeg = _zero_nearest(batch, torch.tensor([0.0, 0, 0.1]), 2)
    assert eeg[:, :, 0].tolist() == [[0, 0, 1], [0, 0, 1]]
    assert batch["eeg"].all()


def test_positions_on_a_dense_montage_are_spread_over_the_head():
    positions = np.array([[c.x, c.y, c.z] for c in head_channels(128)])
    positions[7] = 0  # unknown
    places = _spread_positions(positions, 32)
    assert len(set(places)) == 32
    assert 7 not in places
    known = np.delete(positions, 7, axis=0)
    farthest = np.linalg.norm(known[:, None] - positions[places], axis=2).min(axis=1).max()
    assert farthest < 0.04
    assert _spread_positions(positions[:10], 32) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
