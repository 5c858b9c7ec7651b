"""Reconstruction and probes evaluated from Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.evaluation.probes import evaluate_probes, probe_target
from eeg2speech.evaluation.reconstruction import evaluate_reconstruction
from eeg2speech.models import CrossDecoder, ViTEncoder
from eeg2speech.tasks import MAEEGTask


def make_task(**settings):
    torch.manual_seed(0)
    encoder, decoder = ViTEncoder(width=16, depth=1, heads=2), CrossDecoder(width=16, depth=1, heads=2)
    return MAEEGTask(samples=64, encoder=encoder, decoder=decoder, **settings)


@pytest.fixture(scope="module")
def data(ragged_store):
    data = EEGAudioDataModule(ragged_store, window=0.64, batch_size=8, split=Split(test=0.2, test_subjects=1))
    data.setup("test")
    return data


def test_an_untrained_model_is_compared_with_every_baseline(data):
    task = make_task()
    found = evaluate_reconstruction(task, data, kriging=False, training_windows=12)
    assert task.training
    assert set(found.splits) == set(data.test_splits)
    for name, split in found.splits.items():
        assert split.windows == len(data.datasets[name])
        assert list(split.nmse) == ["model", "mean", "nearest", "interpolation", "spline", "ridge"]
        assert split.nmse["mean"].value == pytest.approx(1)
        assert all(estimate.chance == 1 for estimate in split.nmse.values())
        assert split.verdict.best_baseline in split.nmse
        assert split.verdict.outcome is not True


def test_errors_of_normalised_patches_are_refused(data):
    with pytest.raises(ConfigError, match=r"normalize_target=True.*model\.normalize_target"):
        evaluate_reconstruction(make_task(normalize_target=True), data)


def test_subjects_and_labels_are_probed_with_a_random_encoder_beside(data):
    found = evaluate_probes(make_task(), data, windows=80)
    assert {target: probed.groups for target, probed in found.items()} == {"subject": "stimulus", "label": "subject"}
    for probed in found.values():
        assert set(probed.accuracy) == {"encoder", "untrained_encoder"}  # montages differ: no band power
        for kinds in probed.accuracy.values():
            assert set(kinds) == {"linear", "knn"}
            assert all(0 <= estimate.value <= 1 for estimate in kinds.values())


def test_a_probe_of_subjects_that_share_no_stimulus_is_left_out():
    subject = np.arange(40) // 20
    features = {"untrained_encoder": np.random.default_rng(0).standard_normal((40, 3))}
    with pytest.warns(UserWarning, match="untrained encoder is not probed, the training rows have a single class"):
        assert probe_target(features, subject, subject, "subject") is None
