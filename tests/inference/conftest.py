from __future__ import annotations

from pathlib import Path

import pytest

import eeg2speech
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.inference.encoders import EEGEncoder
from tests.inference.recordings import open_data, prepare_store
from tests.inference.untrained import write_runs


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store that was prepared from the recordings of make_raw."""
    return prepare_store(tmp_path_factory.mktemp("prepared") / "store")


@pytest.fixture(scope="module")
def data(store) -> EEGAudioDataModule:
    return open_data(store)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """Checkpoints as runs of stages 1 and 2 and of the encoder of sound leave them, without training."""
    return write_runs(tmp_path_factory.mktemp("run"), data)


@pytest.fixture(scope="module")
def aligned(run) -> AlignmentModel:
    return eeg2speech.load_aligner(run / "alignment/checkpoints/best.ckpt")


@pytest.fixture(scope="module")
def encoder(run) -> EEGEncoder:
    found = eeg2speech.load(run / "maeeg/checkpoints/best.ckpt")
    assert isinstance(found, EEGEncoder)
    return found
