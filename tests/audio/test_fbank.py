"""The spectrogram is Kaldi's, by two implementations that know nothing of this one."""

from __future__ import annotations

import subprocess
import sys
import warnings

import kaldi_native_fbank
import numpy as np
import pytest
import torch

from eeg2speech.audio import RATE
from eeg2speech.audio.fbank import MEAN, STD, Fbank


def sound(seconds=1.0, seed=0):
    """Something between a voice and noise: harmonics with an envelope, an offset, and a stretch of silence."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 130 * k * time + k) / k for k in range(1, 40))
    wave = 0.1 * tone * (1 + np.sin(2 * np.pi * 3 * time)) + 0.01 * rng.standard_normal(len(time)) + 0.02
    wave[len(wave) // 3 : len(wave) // 2] = 0
    return wave.astype(np.float32)


def kaldi(wave, bands):
    """By the C++ library, (frames, bands)."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = True
    options.frame_opts.window_type = "hanning"
    options.mel_opts.num_bins = bands
    options.mel_opts.high_freq = 0
    computer = kaldi_native_fbank.OnlineFbank(options)
    computer.accept_waveform(RATE, wave.tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


@pytest.mark.parametrize("bands", [64, 80])  # the library refuses 128, of which one is empty
@pytest.mark.parametrize("seed", [0, 1])
def test_energies_are_those_of_the_kaldi_library(bands, seed):
    wave = sound(seed=seed)
    ours = Fbank(bands=bands).log_mel(torch.from_numpy(wave)[None])[0]
    np.testing.assert_allclose(ours.numpy(), kaldi(wave, bands), atol=1e-3, rtol=0)


@pytest.mark.parametrize("seconds", [0.025, 1.0, 3.2, 10.24])
def test_spectrograms_are_those_of_the_audio_spectrogram_transformer(seconds):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own
        from transformers import ASTFeatureExtractor

        wave = sound(seconds)
        theirs = ASTFeatureExtractor()(wave, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    ours = Fbank()(torch.from_numpy(wave)[None])[0].numpy()
    assert ours.shape == (len(wave) // 160, 128)
    assert theirs.shape == (1024, 128)
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-3, rtol=0)  # the padding at the end included


def test_frames_that_are_not_whole_are_padded_before_scaling():
    made = Fbank()(torch.from_numpy(sound())[None])
    assert made.shape == (1, 100, 128)
    torch.testing.assert_close(made[:, 98:], torch.full((1, 2, 128), -MEAN / (2 * STD)))
    assert (made[:, 97] != made[:, 98]).all()


def test_an_offset_of_the_waveform_changes_nothing():
    """So AudioMAE's subtraction of the waveform's mean may be left out."""
    wave = torch.from_numpy(sound(3.2, seed=2))[None]
    sounding = slice(165, 318)  # silence with an offset is silence only up to rounding
    a, b = (Fbank()(x)[:, sounding] for x in (wave, wave - wave.mean()))
    assert a.shape[1] == 153
    torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_silence_and_sounds_shorter_than_a_frame():
    fbank = Fbank()
    floor = np.log(np.finfo(np.float32).eps)
    assert fbank.log_mel(torch.zeros(2, 800)).unique().item() == pytest.approx(floor)
    assert fbank(torch.zeros(2, 399)).shape == (2, 2, 128)
    assert fbank(torch.zeros(2, 0)).shape == (2, 0, 128)


def test_each_sound_is_by_itself():
    waves = torch.stack([torch.from_numpy(sound(seed=seed)) for seed in range(3)])
    together = Fbank()(waves)
    for wave, made in zip(waves, together, strict=True):
        torch.testing.assert_close(Fbank()(wave[None])[0], made, atol=1e-4, rtol=0)


def test_half_precision_contexts_change_nothing():
    wave = torch.from_numpy(sound())[None]
    with torch.autocast("cpu", torch.bfloat16):
        inside = Fbank()(wave)
    assert torch.equal(inside, Fbank()(wave))


def test_it_keeps_nothing_in_checkpoints():
    assert not Fbank().state_dict()


def test_waveforms_are_read_without_torch():
    code = "import sys, eeg2speech.audio; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
