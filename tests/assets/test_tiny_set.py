"""The set of components that comes with the package, and the script that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eeg2speech.assets.train_tiny import train
from eeg2speech.data.simulation.speech import packaged_file, read_sound
from eeg2speech.metrics.speech import speech_figures
from eeg2speech.models.audioldm2.components import load_components
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.files import OWN_AUDIO, TINY
from eeg2speech.models.audioldm2.rebuild import build_speech
from eeg2speech.models.audioldm2.sampling import Sampler

AUDIO = {"class": "SpectrogramViT", "config": {"width": 64, "depth": 2, "heads": 4}}


@pytest.fixture(scope="module")
def model():
    return build_speech("tiny", AUDIO)


def test_the_script_writes_what_can_be_loaded(tmp_path: Path):
    sounds = [0.1 * torch.randn(60_000, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    train(tmp_path, sounds, TINY / OWN_AUDIO, (1, 1, 1), 2, 0)
    made = load_components(tmp_path)
    assert made.conditioner is not None
    assert made.conditioner.config.concat_channels == made.unet.config.in_channels - 8
    assert made.scheduler.config.prediction_type == "v_prediction"
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.safetensors")}
    train(tmp_path, sounds, TINY / OWN_AUDIO, (1, 1, 1), 2, 0)  # keeps what is there
    assert {file: file.read_bytes() for file in before} == before


def test_it_is_small_and_says_what_it_heard(model):
    assert sum(file.stat().st_size for file in TINY.rglob("*")) < 8e6
    assert len(model.trained_sounds) == 32  # of 46 passages


def test_it_speaks_what_its_tokens_say(model):
    """Held-out passages: close to the recording through the autoencoder, and from tokens alone."""
    sounds = torch.stack([torch.from_numpy(read_sound(packaged_file(name))[32_000:83_200]) for name in ("p10", "p13")])
    loa = model.loa_of_sound(sounds)
    spoken = {
        "round trip": model.round_trip(sounds),
        "loa": model.waveform(Sampler(steps=10, guidance=1.0).sample(model, Condition(loa), 20, [0, 1])),
        "nothing": model.waveform(Sampler(steps=10).sample(model, None, 20, [0, 1])),
    }
    found = {
        name: speech_figures(sounds.numpy(), wave.numpy(), names=("mel_corr",))["mel_corr"].min()
        for name, wave in spoken.items()
    }
    assert found["round trip"] > 0.97
    assert found["loa"] > 0.95
    assert found["nothing"] < 0.6
