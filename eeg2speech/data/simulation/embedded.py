"""The embedded dataset, which is simulated on first use and stored in the user's cache."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

from eeg2speech.core.cache import cache_folder
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.locks import locked
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Recording
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.simulation.simulator import SIMULATOR_VERSION, Simulation, demo_sources
from eeg2speech.data.simulation.speech import packaged_speech_hash, read_speech
from eeg2speech.data.store.store import VERSION, Description

DEFAULT = Simulation()


def embedded_store(simulation: Simulation = DEFAULT) -> Path:
    """Folder of the prepared store of a simulation over the packaged speech; the store is made if it does not exist.

    Each store in ``$EEG2SPEECH_CACHE``, or else in the system's cache folder, is named by a hash of its settings. A
    second process waits for the first, and the next call continues a killed simulation.

    Raises:
        ConfigError: The cache cannot be written, or the settings do not fit the speech.
        DataError: A recording could not be prepared.
    """
    preprocessing = Preprocessing(notch=simulation.line_frequency)
    folder = cache_folder() / f"demo-{_digest(simulation, preprocessing)}"
    if _is_complete(folder, simulation):
        return folder
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder.with_name(f"{folder.name}.lock"), "simulate", patience=inf))
        except OSError as error:
            raise ConfigError(
                f"{folder.parent}: cannot be written ({error.strerror}); set EEG2SPEECH_CACHE to a folder you can write"
            ) from error
        if not _is_complete(folder, simulation):  # another process may have made it
            sources = demo_sources(read_speech(first=simulation.passages), simulation)
            done = prepare_sources(sources, folder, describe(simulation), preprocessing, label="Simulating listeners")
            if done.errors:
                raise DataError(done.errors[0])
    return folder


def describe(simulation: Simulation) -> Description:
    """Description of a store of simulated recordings."""
    return Description(
        name="demo",
        source="simulated by eeg2speech over its own rendered speech",
        license="Apache-2.0",
        citation="eeg2speech, embedded dataset: simulated EEG over synthesised speech",
        simulated=True,
        rate=Preprocessing().rate,
        settings={f"simulation.{key}": value for key, value in _made_from(simulation).items()},
    )


def _made_from(simulation: Simulation) -> dict[str, Any]:
    """Everything that the recordings depend on."""
    return simulation.settings() | {"version": SIMULATOR_VERSION, "speech": packaged_speech_hash()}


def _digest(simulation: Simulation, preprocessing: Preprocessing) -> str:
    content = [VERSION, _made_from(simulation), asdict(preprocessing)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def _is_complete(folder: Path, simulation: Simulation) -> bool:
    table = folder / "recordings.tsv"
    return table.is_file() and len(read_table(table, Recording)) == simulation.subjects
