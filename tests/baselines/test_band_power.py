from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.baselines.band_power import BANDS, band_power


@pytest.mark.parametrize(("band", "frequency"), list(enumerate([2.5, 6.0, 10.0, 20.0, 38.0])))
def test_a_sine_has_its_power_in_its_band(band, frequency):
    time = np.arange(320) / 100
    window = np.stack([np.sin(2 * np.pi * frequency * time), np.zeros(320)])[None]
    features = band_power(window, 100.0).reshape(2, len(BANDS))
    assert features[0].argmax() == band
    assert (features[1] == features[1, 0]).all()


def test_an_offset_changes_nothing_and_doubling_adds_its_logarithm():
    window = np.random.default_rng(0).normal(size=(3, 4, 300))
    features = band_power(window, 100.0)
    assert features.shape == (3, 4 * 5)
    np.testing.assert_allclose(band_power(window + 7, 100.0), features, atol=1e-9)
    np.testing.assert_allclose(band_power(2 * window, 100.0) - features, np.log10(4), atol=1e-6)


def test_white_noise_has_its_density_in_every_band():
    window = np.random.default_rng(0).normal(size=(400, 1, 320))
    density = 10 ** band_power(window, 100.0)
    np.testing.assert_allclose(density.mean(axis=0), 1 / 100, rtol=0.1)


def test_bands_above_nyquist_are_left_out_and_short_windows_have_them_all():
    assert band_power(np.random.default_rng(0).normal(size=(1, 2, 100)), 40.0).shape == (1, 2 * 4)
    assert band_power(np.random.default_rng(0).normal(size=(1, 2, 16)), 100.0).shape == (1, 2 * 5)
