"""Speech features against their definition on the mel power of the simulation."""

from __future__ import annotations

import numpy as np
import torch

from eeg2speech.audio.mel_filters import COMPRESSION
from eeg2speech.audio.speech_features import BANDS, NAMES, SpeechFeatures, speech_features
from eeg2speech.data.simulation.features import mel_power

WAVE = 0.1 * np.random.default_rng(0).standard_normal(16_037).astype(np.float32)


def test_features_are_those_of_the_compressed_mel_power():
    power = mel_power(WAVE)
    found = speech_features(WAVE)
    assert found.shape == (len(NAMES), 101)
    envelope = power.mean(axis=0) ** COMPRESSION
    np.testing.assert_allclose(found[0], envelope, rtol=1e-4)
    np.testing.assert_allclose(found[1], np.maximum(np.diff(envelope, prepend=envelope[:1]), 0), atol=1e-4)
    np.testing.assert_allclose(found[2:], power.reshape(BANDS, -1, 101).mean(axis=1) ** COMPRESSION, rtol=1e-4)


def test_a_window_has_the_features_of_the_whole_sound():
    whole, part = speech_features(WAVE), speech_features(WAVE[3200:9600])
    np.testing.assert_allclose(part[:, 2:-2], whole[:, 22:58], rtol=1e-4, atol=1e-5)


def test_silence_is_zero_and_a_batch_is_its_sounds():
    batch = torch.from_numpy(np.stack([WAVE, np.zeros_like(WAVE)]))
    found = SpeechFeatures()(batch)
    assert not found[1].any()
    torch.testing.assert_close(found[0].numpy(), speech_features(WAVE))
