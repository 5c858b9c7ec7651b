from __future__ import annotations

import numpy as np
import pytest
from stores import make_store, noise, segment

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel
from eeg2speech.data.loading.scaling import MOST, Scaling, fit_scalings
from tests.tiny_stores import head_channels

SEGMENTS = {"a": [segment("a", 0.0), segment("a", 8.0)], "b": [segment("b", 2.0)]}
"""Training stretches of two recordings; a third is of a held-out subject."""


def store_of(root, **eeg):
    return make_store(root, {name: (name, signal, [segment(name)]) for name, signal in eeg.items()})


def recordings():
    return {name: noise(3, 1500, seed) for seed, name in enumerate("abc")}


def scalings(root, eeg):
    return fit_scalings(store_of(root, **eeg), SEGMENTS)


def test_centre_and_spread_are_robust_and_of_the_training_stretches(tmp_path):
    eeg = recordings()
    fitted = scalings(tmp_path / "store", eeg)["a"]
    samples = np.concatenate([eeg["a"][:, :400], eeg["a"][:, 800:1200]], axis=1)
    centre = np.median(samples, axis=1)
    np.testing.assert_allclose(fitted.centre, centre, rtol=1e-5)
    spread = 1.4826 * np.median(np.abs(samples - centre[:, None]), axis=1)
    np.testing.assert_allclose(fitted.spread, spread, rtol=1e-5)
    np.testing.assert_allclose(fitted.spread, [10, 20, 30], rtol=0.15)  # the standard deviations of these Gaussians


def test_a_few_artefacts_hardly_matter(tmp_path):
    eeg = recordings()
    clean = scalings(tmp_path / "clean", eeg)["a"]
    eeg["a"][:, :8] = 1e5
    spoilt = scalings(tmp_path / "spoilt", eeg)["a"]
    np.testing.assert_allclose(spoilt.spread, clean.spread, rtol=0.05)


def equal(first, second):
    return all(
        np.array_equal(first[name].centre, second[name].centre)
        and np.array_equal(first[name].spread, second[name].spread)
        for name in first
    )


@pytest.mark.parametrize("where", [("a", slice(400, 800)), ("a", slice(1200, None)), ("c", slice(None))])
def test_what_is_tested_on_does_not_enter_any_scale(tmp_path, where):
    """Neither test stretches of seen subjects nor anything of a held-out subject."""
    eeg = recordings()
    before = scalings(tmp_path / "before", eeg)
    name, samples = where
    eeg[name][:, samples] = 1e4 * np.random.default_rng(1).standard_normal(eeg[name][:, samples].shape)
    assert equal(before, scalings(tmp_path / "after", eeg))


def test_training_stretches_do_enter(tmp_path):
    eeg = recordings()
    before = scalings(tmp_path / "before", eeg)
    eeg["a"][:, :400] *= 3
    after = scalings(tmp_path / "after", eeg)
    assert (after["a"].spread > before["a"].spread).all()
    assert np.array_equal(after["b"].spread, before["b"].spread)


def test_a_held_out_subject_takes_the_median_of_the_others(tmp_path):
    shuffled = [Channel("e2"), Channel("E0"), Channel("new")]  # names are compared in lower case
    data = {name: (name, noise(3, 1500, seed), [segment(name)]) for seed, name in enumerate("ab")}
    store = make_store(tmp_path / "store", data | {"c": ("c", noise(3, 1500, 9), [segment("c")], shuffled)})
    fitted = fit_scalings(store, SEGMENTS)
    for attribute in ("centre", "spread"):
        a, b, c = (getattr(fitted[name], attribute) for name in "abc")
        medians = (a + b) / 2
        np.testing.assert_allclose(c, [medians[2], medians[0], np.median(medians)], rtol=1e-6)


def test_flat_channels_are_unusable_and_do_not_scale_others(tmp_path):
    eeg = recordings()
    eeg["a"][1] = 7.0
    eeg["a"][2] = np.nan
    fitted = scalings(tmp_path / "store", eeg)
    assert fitted["a"].usable.tolist() == [True, False, False]
    assert fitted["c"].usable.all()
    np.testing.assert_array_equal(fitted["c"].spread[1:], fitted["b"].spread[1:])
    assert np.isfinite(fitted["c"].centre).all()


def test_a_channel_flat_everywhere_is_unusable_for_new_subjects(tmp_path):
    """A reference electrode, say."""
    eeg = recordings()
    for signal in eeg.values():
        signal[1] = 0.0
    assert all(scaling.usable.tolist() == [True, False, True] for scaling in scalings(tmp_path / "store", eeg).values())


def test_a_store_without_any_signal_is_refused(tmp_path):
    with pytest.raises(DataError, match="store: every channel is flat"):
        scalings(tmp_path / "store", {name: np.zeros((3, 1500)) for name in "abc"})


def test_long_recordings_are_sampled_evenly(tmp_path):
    """A scale that changes halfway is seen in both halves."""
    samples = 4 * MOST
    eeg = np.random.default_rng(0).standard_normal((1, samples)).astype(np.float32)
    eeg[:, samples // 2 :] *= 100
    store = make_store(tmp_path / "store", {"a": ("a", eeg, [segment("a")], head_channels(1))})
    fitted = fit_scalings(store, {"a": [segment("a", 0.0, samples / 100)]})["a"]
    expected = 1.4826 * np.median(np.abs(eeg))
    assert fitted.spread[0] == pytest.approx(expected, rel=0.05)


def test_every_recording_of_the_store_gets_a_scaling(tmp_path):
    fitted = scalings(tmp_path / "store", recordings())
    assert fitted.keys() == {"a", "b", "c"}
    assert all(isinstance(scaling, Scaling) and scaling.spread.dtype == np.float32 for scaling in fitted.values())
