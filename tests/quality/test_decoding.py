from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.quality.decoding import mean_response
from tests.data.coupled_stores import coupled_store


def test_the_response_peaks_where_the_eeg_follows_the_sound(tmp_path):
    found = mean_response(coupled_store(tmp_path / "store", subjects=3, strength=1.0, delay=0.15), minutes=1.0)
    assert found.subjects == 3
    assert found.minutes == pytest.approx(3.0, abs=0.2)  # pieces are cut between samples
    assert found.weights.shape == (6, len(found.lags))
    assert found.lags[np.abs(found.weights).mean(axis=0).argmax()] == pytest.approx(0.15, abs=0.03)
    assert np.isfinite(found.positions).all()


def test_electrodes_in_another_order_are_the_same_electrodes(tmp_path):
    one, other = (
        mean_response(coupled_store(tmp_path / str(scrambled), subjects=2, scrambled=scrambled))
        for scrambled in (False, True)
    )
    assert one.subjects == other.subjects == 2
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-4)
    np.testing.assert_array_equal(one.positions, other.positions)


def test_recordings_without_sound_have_no_response(tmp_path):
    assert mean_response(coupled_store(tmp_path / "store", condition="imagined")) is None
