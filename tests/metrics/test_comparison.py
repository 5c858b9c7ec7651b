from __future__ import annotations

import numpy as np
import pytest
from spaces import unit

from eeg2speech.metrics import Embeddings
from eeg2speech.metrics.comparison import rewindow

STEPS, WIDTH, STEP = 4, 3, 0.16
DURATION = STEPS * STEP


def windows(start, subject=None, stimulus=None, seed=0):
    start = np.asarray(start, np.float64)
    count = len(start)
    rng = np.random.default_rng(seed)
    eeg, sound = (unit(rng.normal(size=(count, STEPS, WIDTH))) / np.float32(np.sqrt(STEPS)) for _ in range(2))
    owner = [np.zeros(count, np.int64) if x is None else np.asarray(x) for x in (subject, stimulus)]
    return Embeddings(eeg.reshape(count, -1), sound.reshape(count, -1), np.arange(count), *owner, start)


def test_a_longer_window_is_the_mean_of_its_steps():
    points = windows([0, DURATION, 2 * DURATION])
    found = rewindow(points, STEPS, STEP, length=6, hop=2)
    assert found.start == pytest.approx([0, 2 * STEP, 4 * STEP, 6 * STEP])
    cosine = (points.eeg * points.sound).reshape(-1, WIDTH).sum(axis=1) * STEPS
    expected = [cosine[first : first + 6].mean() for first in (0, 2, 4, 6)]
    np.testing.assert_allclose((found.eeg * found.sound).sum(axis=1), expected, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.eeg, axis=1), 1, rtol=1e-6)


def test_the_same_length_changes_nothing_whatever_the_order():
    points = windows([2 * DURATION, 0, DURATION])
    found = rewindow(points, STEPS, STEP, length=STEPS, hop=STEPS)
    np.testing.assert_allclose(found.eeg, points.eeg[[1, 2, 0]], rtol=1e-6)


def test_new_windows_have_unit_length_though_steps_differ():
    points = windows([0, DURATION])
    points.eeg[:, :WIDTH] *= 3
    found = rewindow(points, STEPS, STEP, length=3, hop=1)
    np.testing.assert_allclose(np.linalg.norm(found.eeg, axis=1), 1, rtol=1e-6)
    steps = points.eeg.reshape(-1, WIDTH)
    np.testing.assert_allclose(found.eeg[2] @ unit(steps[2:5].reshape(1, -1))[0], 1, rtol=1e-6)


def test_no_window_spans_a_gap_an_overlap_or_two_stories():
    gap = rewindow(windows([0, DURATION + 1]), STEPS, STEP, length=6, hop=1)
    assert gap.eeg.shape == (0, 6 * WIDTH)
    overlap = rewindow(windows([0, DURATION / 2, DURATION]), STEPS, STEP, length=8, hop=1)
    assert overlap.start == pytest.approx([0])
    stories = rewindow(windows([0, DURATION], stimulus=[0, 1]), STEPS, STEP, length=6, hop=1)
    assert len(stories.eeg) == 0


def test_listeners_of_a_sound_share_its_key():
    found = rewindow(windows([0, DURATION] * 2, subject=[0, 0, 1, 1]), STEPS, STEP, length=4, hop=4)
    assert found.key.tolist() == [0, 1, 0, 1]
    assert found.subject.tolist() == [0, 0, 1, 1]
