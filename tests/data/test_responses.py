"""Responses of a simulated store are those that its recordings contain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.simulation.embedded import describe
from eeg2speech.data.simulation.responses import simulation_of, true_responses
from eeg2speech.data.simulation.simulator import Simulation, demo_sources
from eeg2speech.data.simulation.speech import Speech
from eeg2speech.data.store.store import Store

DEFAULT = Preprocessing()
Make = Callable[..., Store]


@pytest.fixture
def simulated(tmp_path: Path) -> Make:
    """A store of two subjects with eight electrodes who listen to three sounds."""

    def make(preprocessing: Preprocessing = DEFAULT, **settings: float) -> Store:
        rng = np.random.default_rng(0)
        rise = np.clip(np.sin(2 * np.pi * 3 * np.arange(4 * 16_000) / 16_000), 0, 1)
        speech = {
            f"s{i}": Speech((0.2 * rng.standard_normal(len(rise)) * rise).astype(np.float32), "") for i in range(3)
        }
        simulation = Simulation(subjects=2, channels=8, **settings)
        done = prepare_sources(
            demo_sources(speech, simulation), tmp_path / "store", describe(simulation), preprocessing
        )
        assert not done.errors
        return Store(tmp_path / "store")

    return make


@pytest.mark.parametrize(
    "preprocessing", [Preprocessing(), Preprocessing(band=(1.0, 20.0), causal=True), Preprocessing(bad=["Cz"])]
)
def test_a_recording_is_its_response_where_nothing_else_is_loud(simulated: Make, preprocessing: Preprocessing):
    store = simulated(preprocessing, snr=60.0, blinks=0.0, line=0.0, sensor=0.0)
    responses = true_responses(store)
    assert responses is not None
    for recording in store.recordings:
        eeg, response = store.eeg(recording), responses[recording.recording]
        assert response.std() > 100
        np.testing.assert_allclose(response, eeg, atol=0.01 * eeg.std())


def test_the_level_of_a_response_is_that_of_the_snr(simulated: Make):
    store = simulated(snr=-10.0, sensor=0.0, line=0.0, blinks=0.0)
    responses = true_responses(store)
    assert responses is not None
    for recording in store.recordings:
        response = responses[recording.recording]
        rest = store.eeg(recording) - response
        assert 10 * np.log10(response.var() / rest.var()) == pytest.approx(-10, abs=1.5)  # the bands differ a little
        assert abs(np.corrcoef(response.ravel(), rest.ravel())[0, 1]) < 0.1


def test_nothing_is_known_without_a_response_or_a_simulation(simulated: Make, tiny_store: Path):
    assert true_responses(simulated(snr=-np.inf)) is None
    assert simulation_of(Store(tiny_store)) is None
    assert true_responses(Store(tiny_store)) is None


def test_another_version_of_the_simulator_is_not_trusted(simulated: Make):
    store = simulated()
    assert simulation_of(store) == Simulation(subjects=2, channels=8)
    store.description.settings["simulation.version"] += 1
    assert simulation_of(store) is None
