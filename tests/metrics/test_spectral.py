from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.metrics import spectral
from eeg2speech.metrics.spectral import (
    band_correlation,
    log_spectral_distance,
    mel_cepstra,
    mel_cepstral_distortion,
    mel_correlation,
    warped_distance,
)

RNG = np.random.default_rng(0)
MEL = RNG.normal(size=(3, 40, 64)).astype(np.float32).cumsum(axis=1)


def test_correlations_equal_numpy_ones():
    other = (MEL + RNG.normal(size=MEL.shape)).astype(np.float32)
    for clip in range(3):
        whole = np.corrcoef(MEL[clip].ravel(), other[clip].ravel())[0, 1]
        bands = [np.corrcoef(MEL[clip, :, band], other[clip, :, band])[0, 1] for band in range(64)]
        assert mel_correlation(MEL, other)[clip] == pytest.approx(whole)
        assert band_correlation(MEL, other)[clip] == pytest.approx(np.mean(bands))


def test_the_mean_spectrum_earns_nothing_within_bands():
    average = np.broadcast_to(MEL.mean(axis=1, keepdims=True), MEL.shape)
    tilted = (MEL + np.linspace(0, 50, 64)).astype(np.float32)
    assert (mel_correlation(tilted, average + np.linspace(0, 50, 64)) > 0.8).all()
    assert (band_correlation(tilted, average) == 0).all()


def test_a_band_without_variance_in_the_reference_does_not_count():
    still = MEL.copy()
    still[:, :, :32] = 1
    np.testing.assert_allclose(band_correlation(still, MEL), 1)
    half = MEL.copy()
    half[:, :, :32] = 1
    np.testing.assert_allclose(band_correlation(MEL, half), 0.5)
    assert np.isnan(band_correlation(np.ones_like(MEL), MEL)).all()
    assert np.isnan(mel_correlation(np.ones_like(MEL), MEL)).all()


def test_warping_equals_a_loop_over_all_cells():
    first, second = RNG.normal(size=(4, 9, 3)), RNG.normal(size=(4, 12, 3))
    found = warped_distance(first, second)
    for clip in range(4):
        cost = np.linalg.norm(first[clip, :, None] - second[clip], axis=-1)
        total = {(0, 0): (cost[0, 0], 1)}
        for i, j in np.ndindex(9, 12):
            if (i, j) != (0, 0):
                before = [total[cell] for cell in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if cell in total]
                least = min(before, key=lambda path: path[0])
                total[i, j] = (least[0] + cost[i, j], least[1] + 1)
        length, steps = total[8, 11]
        assert found[clip] == pytest.approx(length / steps)
    np.testing.assert_allclose(warped_distance(second, first), found)


def test_warping_matches_a_slower_copy():
    slow = RNG.normal(size=(1, 10, 3)).repeat(2, axis=1)
    assert warped_distance(slow, slow[:, ::2])[0] == pytest.approx(0, abs=1e-6)


def test_distortion_of_a_ripple_is_its_size_in_decibels():
    """A ripple of one neper over the bands: its root mean square in decibels is 20 / ln 10 / sqrt 2."""
    flat = np.zeros((1, 30, 64), np.float32)
    ripple = np.cos(np.pi * 5 * (np.arange(64) + 0.5) / 64).astype(np.float32)
    np.testing.assert_allclose(mel_cepstra(flat + ripple)[0, 0], np.arange(1, 14) == 5, atol=1e-6)
    assert mel_cepstral_distortion(flat, flat + ripple)[0] == pytest.approx(20 / np.log(10) / np.sqrt(2), rel=1e-5)
    assert mel_cepstral_distortion(flat, flat + 3)[0] == pytest.approx(0, abs=1e-5)  # louder, no other


def test_distortion_does_not_depend_on_how_clips_are_taken_together(monkeypatch):
    other = MEL[:, ::-1]
    whole = mel_cepstral_distortion(MEL, other)
    monkeypatch.setattr(spectral, "_CELLS", 1)
    np.testing.assert_allclose(mel_cepstral_distortion(MEL, other), whole)
    assert mel_cepstral_distortion(MEL[:0], other[:0]).shape == (0,)


def test_a_louder_sound_is_its_decibels_away():
    wave = RNG.normal(size=(2, 8000)).astype(np.float32)
    np.testing.assert_allclose(log_spectral_distance(wave, wave / 2), 20 * np.log10(2), rtol=1e-4)
    assert (log_spectral_distance(wave, wave) == 0).all()


def test_inaudible_differences_do_not_count():
    wave = RNG.normal(size=(1, 8000)).astype(np.float32)
    wave[:, 4000:] *= 1e-7
    gone = wave.copy()
    gone[:, 4000:] = 0
    assert log_spectral_distance(wave, gone)[0] == pytest.approx(0, abs=0.01)
