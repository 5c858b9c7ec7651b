from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from spaces import comparison, embeddings

from eeg2speech.metrics.identification import identify
from eeg2speech.metrics.verdict import judge_speech, judged_way


def arms(signal, seed=0, **controls):
    """Clips from EEG, and how well clips of each control are identified at 10 ways, all for the same windows."""
    clips = embeddings(np.random.default_rng(seed), signal=signal)
    found = {}
    for number, (name, strength) in enumerate(controls.items()):
        # the same sounds, other clips: signal and noise of their own
        other = (
            np.random.default_rng(1000 * seed + number + 1).normal(size=clips.sound.shape) + strength * 4 * clips.sound
        )
        eeg = (other / np.linalg.norm(other, axis=1, keepdims=True)).astype(np.float32)
        found[name] = identify(replace(clips, eeg=eeg).compare(), 10)
    return clips.compare(), found


BLIND = {"noise": 0.0, "another_trial": 0.0}


def controls(**strengths):
    return {name.replace("_", " "): strength for name, strength in strengths.items()}


def test_a_model_that_works_is_said_to():
    compared, blind = arms(0.7, **BLIND)
    verdict = judge_speech(compared, blind)
    assert verdict.informed
    assert verdict.way == 10
    assert verdict.p == 1 / 1001
    assert "10-way identification" in verdict.reasons[0]
    assert verdict.estimate.value == pytest.approx(identify(compared, 10).mean())
    for name, difference in verdict.differences.items():
        assert difference.value == pytest.approx((identify(compared, 10) - blind[name]).mean())
        assert difference.high > difference.value > difference.low > 0
        assert difference.chance == 0


def test_one_that_does_not_is_not():
    verdict = judge_speech(*arms(0.0, **BLIND))
    assert not verdict.informed
    assert any("does not exceed the 99th percentile" in reason for reason in verdict.reasons)
    assert all(difference.low < 0 < difference.high for difference in verdict.differences.values())


def test_speech_that_noise_gives_as_well_is_no_information():
    compared, found = arms(0.7, **BLIND | {"noise": 0.7})
    verdict = judge_speech(compared, found)
    assert not verdict.informed
    assert all("control noise" in reason for reason in verdict.reasons)


def test_a_control_that_was_not_run_leaves_no_verdict_in_favour():
    compared, found = arms(0.7, noise=0.0)
    verdict = judge_speech(compared, found)
    assert not verdict.informed
    assert verdict.reasons == ["control another trial was not run"]
    assert "control noise was not run" in judge_speech(compared, {}).reasons


def test_a_control_may_lack_some_windows_but_not_all():
    compared, found = arms(0.7, **BLIND)
    found["another_trial"][:20] = np.nan
    verdict = judge_speech(compared, found)
    assert verdict.informed
    kept = identify(compared, 10)[20:] - found["another_trial"][20:]
    assert verdict.differences["another_trial"].value == pytest.approx(kept.mean())
    found["another_trial"][:] = np.nan
    (reason,) = judge_speech(compared, found).reasons
    assert reason.startswith("control another trial is not a number")


def test_pairing_makes_the_difference_surer_than_its_parts():
    """Some sounds are easy for both arms: the spread over stimuli is common, the difference is not."""
    rng = np.random.default_rng(0)
    size = 60
    stimulus = np.arange(size) // 4
    ease = np.repeat(rng.normal(0, 3, 15), 4)
    similarity = rng.normal(size=(size, size))
    control = similarity + np.diag(ease)
    similarity = similarity + np.diag(ease + 1)
    number = np.arange(size)
    clips = comparison(similarity, stimulus=stimulus, start=number)
    other = identify(comparison(control, stimulus=stimulus, start=number), 10)
    verdict = judge_speech(clips, {"noise": other, "another_trial": other})
    paired, own = verdict.differences["noise"], verdict.estimate
    assert paired.high - paired.low < 0.6 * (own.high - own.low)
    assert paired.low > 0


@pytest.mark.parametrize(("gallery", "way"), [(1000, 10), (10, 10), (9, 2), (2, 2), (1, 1)])
def test_a_small_gallery_is_judged_at_a_smaller_way(gallery, way):
    assert judged_way(gallery) == way


def test_a_single_sound_cannot_be_told_apart():
    verdict = judge_speech(comparison(np.ones((3, 1)), target=[0, 0, 0]), {"noise": np.ones(3)})
    assert not verdict.informed
    assert any("no sound could be permuted" in reason for reason in verdict.reasons)


def test_nothing_is_hardly_ever_taken_for_something():
    """1 % of 100 by the permutations alone, fewer by the controls: 5 or more has a probability of .003."""
    assert sum(judge_speech(*arms(0.0, seed, **BLIND)).informed for seed in range(1, 101)) < 5
