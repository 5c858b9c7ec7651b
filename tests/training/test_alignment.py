from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from eeg2speech.evaluation.alignment_controls import replaced, shuffled_within

from eeg2speech.cli import main
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import embed_split, untrained
from eeg2speech.metrics import Embeddings
from eeg2speech.tasks import AlignmentTask

CONFIG = ["--config", "configs/alignment.yaml", "--config", "tests/conf/tiny_alignment.yaml"]


@pytest.fixture(scope="module")
def run(tiny_store, tmp_path_factory):
    """A run that was fitted for a few steps and tested."""
    folder = tmp_path_factory.mktemp("alignment") / "run"
    common = [*CONFIG, "--data.store", str(tiny_store), "--run", str(folder)]
    assert main(["fit", *common]) == 0
    assert main(["test", *common, "--ckpt_path", "best"]) == 0
    return folder


@pytest.fixture(scope="module")
def loaded(run, tiny_store):
    data = EEGAudioDataModule(store=tiny_store, window=0.64, hop=0.32, batch_size=8, audio=True)
    data.setup()
    task = AlignmentTask.load_from_checkpoint(run / "checkpoints" / "best.ckpt", map_location="cpu").eval()
    task.places = torch.arange(len(data.subject_names))
    return task, data


def test_every_list_ends_in_a_verdict_with_figures_and_controls(run):
    lists = json.loads((run / "test.json").read_text())["alignment"]["lists"]
    assert set(lists) == {"unseen_stimulus", "unseen_subject", "unseen_both"}
    for found in lists.values():
        assert isinstance(found["verdict"]["aligned"], bool)
        assert found["verdict"]["reasons"]
        assert {"model", "ridge pooled", "cca pooled"} <= set(found["figures"])
        surrogates = {"noise", "phase-randomised", "another trial", "zeros", "subject only", "untrained"}
        assert set(found["controls, mrr"]) == surrogates
        assert found["permutations"]["mrr"]["permutations"] == 1000
        top1 = found["figures"]["model"]["top1"]
        assert 0 <= top1["low"] <= top1["value"] <= top1["high"] <= 1
        assert top1["chance"] == pytest.approx(1 / found["gallery"], rel=1e-6)


def test_noise_that_no_sound_went_into_is_not_called_aligned(run):
    lists = json.loads((run / "test.json").read_text())["alignment"]["lists"]
    assert not any(found["verdict"]["aligned"] for found in lists.values())


def test_a_single_sound_to_test_on_ends_in_a_verdict_against(tiny_store, tmp_path):
    one = ["--data.split.by", "stimulus", "--data.split.test", "0.125", "--run", str(tmp_path)]
    common = [*CONFIG, "--data.store", str(tiny_store), *one]
    assert main(["fit", *common]) == 0
    assert main(["test", *common, "--ckpt_path", "best"]) == 0
    assert main(["report", str(tmp_path)]) == 0
    (found,) = json.loads((tmp_path / "test.json").read_text())["alignment"]["lists"].values()
    assert found["controls, mrr"]["another trial"]["value"] is None  # strict JSON has no NaN
    assert found["verdict"]["aligned"] is False
    assert any("another trial is not a number: it has no windows" in reason for reason in found["verdict"]["reasons"])


def test_embeddings_do_not_depend_on_the_batches(loaded):
    task, data = loaded
    whole = embed_split(task, data, "unseen_stimulus")
    data.batch_size = 3
    torch.testing.assert_close(
        torch.from_numpy(embed_split(task, data, "unseen_stimulus").eeg), torch.from_numpy(whole.eeg)
    )
    data.batch_size = 8


def test_people_who_heard_the_same_sound_share_its_key(loaded):
    task, data = loaded
    model = embed_split(task, data, "unseen_stimulus")
    assert len(np.unique(model.key)) == len(model.key) / len(np.unique(model.subject))


def test_another_trial_is_of_the_same_subject_and_of_another_stimulus(loaded):
    task, data = loaded
    model = embed_split(task, data, "unseen_stimulus")
    other = replaced(task, data, "unseen_stimulus", model, None)
    for row, vector in enumerate(other.eeg):
        source = np.flatnonzero((model.eeg == vector).all(axis=1))
        assert (model.subject[source] == other.subject[row]).all()
        assert (model.stimulus[source] != other.stimulus[row]).all()


def test_the_untrained_model_hears_as_the_trained_one_does(loaded):
    task, data = loaded
    fresh = untrained(task)
    model, other = (embed_split(one, data, "unseen_stimulus") for one in (task, fresh))
    np.testing.assert_array_equal(model.sound, other.sound)
    assert not np.allclose(model.eeg, other.eeg, atol=0.05)
    assert task.aligner is not fresh.aligner


def embeddings(stimulus, key, subject):
    rows = np.zeros((len(key), 2), np.float32)
    columns = (np.asarray(values, np.int64) for values in (key, subject, stimulus))
    return Embeddings(rows, rows, *columns, np.zeros(len(key)))


def test_sounds_are_shuffled_within_their_story():
    model = embeddings(stimulus=[0, 0, 1, 1], key=[0, 1, 2, 3], subject=[0, 0, 0, 0])
    assert shuffled_within(model).tolist() == [0, 0, 1, 1]


def test_single_sounds_are_shuffled_among_those_the_same_people_heard():
    model = embeddings(stimulus=[0, 1, 2, 3], key=[0, 1, 2, 3], subject=[5, 5, 6, 6])
    groups = shuffled_within(model).tolist()
    assert groups[0] == groups[1] != groups[2] == groups[3]
