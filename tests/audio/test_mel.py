"""The spectrogram of AudioLDM 2's autoencoder against transformers' implementation, and its edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from eeg2speech.audio.mel import BANDS, FFT, HOP, PAD, LogMel, level, slaney_bank

RANDOM = torch.Generator().manual_seed(0)


def theirs(wave: torch.Tensor) -> np.ndarray:
    padded = np.pad(wave.numpy().astype(np.float64), PAD, mode="reflect")
    bank = mel_filter_bank(FFT // 2 + 1, BANDS, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
    return spectrogram(
        padded, window_function(FFT, "hann"), FFT, HOP, FFT, power=1.0, center=False, mel_filters=bank,
        mel_floor=1e-5, log_mel="log",
    ).T  # fmt: skip


def test_the_bank_is_slaneys():
    bank = mel_filter_bank(FFT // 2 + 1, BANDS, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney").T
    assert np.abs(slaney_bank().numpy() - bank).max() < 1e-12


@pytest.mark.parametrize("samples", [1024, 51200, 163840])
def test_it_equals_an_independent_implementation(samples: int):
    time = torch.arange(samples) / 16000
    wave = 0.3 * torch.sin(2 * torch.pi * (200 + 900 * time) * time) + 0.01 * torch.randn(samples, generator=RANDOM)
    ours = LogMel()(wave[None])[0]
    assert ours.shape == (samples // HOP, BANDS)
    assert np.abs(ours.numpy() - theirs(wave)).max() < 1e-3


def test_silence_is_the_floor_and_loudness_adds():
    mel = LogMel()
    assert torch.allclose(mel(torch.zeros(1, 16000)), torch.tensor(1e-5).log())
    wave = 0.1 * torch.randn(1, 16000, generator=RANDOM)
    assert torch.allclose(mel(4 * wave) - mel(wave), torch.tensor(4.0).log(), atol=1e-4)


def test_level_takes_the_mean_off_and_sets_the_peak():
    wave = torch.stack([0.02 * torch.randn(1000, generator=RANDOM) + 0.3, torch.zeros(1000)])
    levelled = level(wave)
    assert levelled[0].mean().abs() < 1e-6
    assert levelled[0].abs().max() == pytest.approx(0.5)
    assert not levelled[1].any()


def test_half_precision_does_not_coarsen_it():
    wave = 0.1 * torch.randn(2, 16000, generator=RANDOM)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LogMel()(wave), LogMel()(wave.clone()))
        half = LogMel()(wave)
    assert torch.equal(half, LogMel()(wave))
