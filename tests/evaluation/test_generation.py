"""Generated speech by variant: same noise, other condition."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.audio_gallery import AudioGallery
from eeg2speech.evaluation.generation import SAMPLED, generate_variants, read_windows
from eeg2speech.metrics.results import VARIANTS
from tests.training.fake_speech_task import WINDOW, Parrot, noisy_store


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    store = noisy_store(tmp_path_factory.mktemp("noises") / "store")
    data = EEGAudioDataModule(store=store, window=WINDOW, batch_size=8, audio=True)
    data.setup()
    return data


@pytest.fixture(scope="module")
def task(data):
    return Parrot(data)


def test_variants_start_from_one_noise_and_clips_depend_on_no_batch(task, data):
    task.asked.clear()
    rows = np.arange(6)
    whole = dict(
        generate_variants(task, *(read_windows(task, data, "unseen_stimulus", which) for which in (rows, rows[::-1])))
    )
    assert list(whole) == list(VARIANTS)
    assert len(task.asked) == len(SAMPLED)
    assert all(seeds == task.asked[0] for seeds in task.asked)
    assert len(set(task.asked[0])) == 6
    part = dict(generate_variants(task, read_windows(task, data, "unseen_stimulus", rows[3:4])))
    assert set(VARIANTS) - set(part) == {"another_trial"}
    for variant, waves in part.items():
        np.testing.assert_allclose(waves[0], whole[variant][3], atol=1e-6)


def test_another_trial_generates_what_was_heard_in_another_story(task, data):
    rows = np.array([0, 20])
    here, there = (read_windows(task, data, "unseen_stimulus", which) for which in (rows, rows[::-1]))
    assert here["stimulus"][0] != here["stimulus"][1]
    clips = dict(generate_variants(task, here, there, variants=("truth", "another_trial")))
    assert np.corrcoef(clips["another_trial"][0], clips["truth"][1])[0, 1] > 0.9


@pytest.mark.parametrize("most", [1, 5, 12, 24, 30, 48, 99])
def test_windows_are_of_as_many_sounds_and_subjects_as_possible(most):
    key, subject = np.tile(np.arange(100, 124), 2), np.repeat([0, 1], 24)
    order = np.random.default_rng(0).permutation(48)
    gallery = AudioGallery(key[order], subject[order], key[order], np.arange(100, 124), np.zeros(24), {})
    rows = gallery.spread(most)
    assert len(set(rows.tolist())) == len(rows) == min(most, 48)
    assert len(np.unique(gallery.key[rows])) == min(most, 24)
    if most > 4:
        assert 0.2 < gallery.subject[rows].mean() < 0.8
    if most == 12:
        assert np.diff(np.unique(gallery.key[rows])).max() == 2
