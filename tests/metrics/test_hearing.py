"""Figures by pretrained networks, with the real packages."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.core.errors import ConfigError
from eeg2speech.data.simulation.speech import packaged_file, read_sound
from eeg2speech.metrics import hearing
from eeg2speech.metrics.hearing import MEASURES, check_hearing, dnsmos, pocketsphinx, speaker_similarity
from eeg2speech.metrics.speech import speech_figures
from eeg2speech.metrics.word_error import word_error_rate
from eeg2speech.training import EvaluateSpeech

SAMPLES = 51_200


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    wave = read_sound(packaged_file("p10"))[32_000 : 32_000 + SAMPLES]
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(SAMPLES)).astype(np.float32)


def test_pocketsphinx_finds_the_same_words_in_the_same_speech(speech, noise):
    transcribe = pocketsphinx()
    text = transcribe(speech)
    assert len(text.split()) > 3
    assert word_error_rate(text, transcribe(noise)) > 0.6
    assert transcribe(speech) == text  # whatever came before
    assert transcribe(np.zeros(SAMPLES, np.float32)) is not None  # silence is no error


def test_noise_has_a_lower_quality_than_speech(speech, noise):
    assert 5 > dnsmos(noise, speech) > dnsmos(speech, noise) + 0.5 > 1


def test_a_voice_is_most_similar_to_itself(speech, noise):
    assert speaker_similarity(speech, speech) == pytest.approx(1, abs=1e-4)
    assert speaker_similarity(speech, noise) < 0.8


def test_they_are_figures_beside_the_others(speech, noise):
    found = speech_figures(np.stack([speech] * 2), np.stack([speech, noise]), ("mel_corr", *MEASURES), MEASURES)
    assert set(found) == {"mel_corr", "dnsmos", "speaker_similarity"}
    assert all(first > second for first, second in found.values())


def test_without_the_packages_nothing_is_promised(monkeypatch):
    monkeypatch.setattr(hearing, "find_spec", lambda name: None if name == "speechmos" else name)
    with pytest.raises(ConfigError, match=r"hearing=True needs speechmos: pip install 'eeg2speech\[hearing\]'"):
        EvaluateSpeech(hearing=True)
    monkeypatch.undo()
    check_hearing()
