"""The responses that the recordings of a simulated store contain, prepared as the recordings were."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess
from eeg2speech.data.simulation.simulator import SIMULATOR_VERSION, Simulation, response_recordings
from eeg2speech.data.store.store import Store

PLAUSIBLE = 10.0
"""Microvolts, root mean square, to which responses are scaled while they are prepared."""


def simulation_of(store: Store) -> Simulation | None:
    """Settings with which a store was simulated; None for recorded EEG and for another version of the simulator."""
    settings = store.description.settings
    if not store.description.simulated or settings.get("simulation.version") != SIMULATOR_VERSION:
        return None
    values = {field.name: settings[f"simulation.{field.name}"] for field in fields(Simulation)}
    return Simulation(**values | {"snr": float(values["snr"])})


def true_responses(store: Store) -> dict[str, NDArray[np.float32]] | None:
    """The response in each recording of a simulated store in microvolts, (channels, samples), by recording.

    A recording minus its response is the activity that would have been recorded in silence.

    Returns:
        None if there is no response, or if it is not known: recorded EEG, another version of the simulator, and
        independent components that were removed.
    """
    simulation = simulation_of(store)
    if simulation is None or simulation.is_null:
        return None
    prefix, written = "preprocessing.", store.description.settings
    settings = Preprocessing.from_dict({k.removeprefix(prefix): v for k, v in written.items() if k.startswith(prefix)})
    if settings.ica is not None:
        return None
    waves = {name: store.audio(name) for name in store.stimuli}
    responses = {}
    for label, raw in response_recordings(waves, simulation, store.subjects):
        bad = [channel.name for channel in store.channels(label) if channel.status == "bad"]
        # the linear steps alone: what is cut out of segments is not read, and a scale avoids a warning of the amplitude
        linear = replace(settings, bad=bad, flat=None, deviation=None, reject=None)
        volts = np.asarray(raw.eeg, np.float32)
        scale = np.float32(PLAUSIBLE * 1e-6 / volts.std())
        prepared = preprocess(replace(raw, eeg=volts * scale), linear, label)
        responses[label] = prepared.eeg / scale
    return responses
