from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from eeg2speech.audio import RATE
from eeg2speech.audio.mel import FLOOR, LogMel, level
from eeg2speech.models.audioldm2.vocoders import GriffinLim


def sounds(count=2, seconds=1.0, seed=0):
    """Harmonics of a gliding pitch with an envelope, over a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    waves = []
    for _ in range(count):
        turns = np.cumsum(120 + 40 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time + rng.uniform(0, 6))) / RATE
        tone = sum(np.sin(2 * np.pi * k * turns + k) / k for k in range(1, 40))
        swell = 0.1 + np.square(np.sin(2 * np.pi * rng.uniform(1, 3) * time))
        waves.append(tone * swell + 0.02 * rng.standard_normal(len(time)))
    return level(torch.from_numpy(np.stack(waves)).float())


def test_a_sound_comes_back_with_the_same_spectrogram():
    waves = sounds()
    front = LogMel()
    mel = front(waves)
    again = GriffinLim()(mel)
    assert again.shape == waves.shape
    back = front(again)
    assert np.corrcoef(back.flatten(), mel.flatten())[0, 1] > 0.99
    assert (back - mel).abs().mean() < 0.15


def test_more_projections_fit_the_magnitudes_better():
    mel = LogMel()(sounds())

    def error(iterations):
        inversion = GriffinLim(iterations)
        wanted = inversion.magnitudes(mel)
        wave = torch.nn.functional.pad(inversion(mel)[:, None], (432, 432), mode="reflect")[:, 0]
        found = torch.stft(wave, 1024, 160, window=inversion.window, center=False, return_complex=True).abs()
        return float((found - wanted).norm() / wanted.norm())

    errors = [error(iterations) for iterations in (0, 4, 32)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.3 * errors[0]


def test_magnitudes_approach_those_of_an_exact_solver_of_non_negative_least_squares():
    mel = LogMel()(sounds(count=1))[:, 10:90:20]
    bands = mel[0].double().exp().T
    exact = np.array([nnls(GriffinLim().bank.double().numpy(), wanted.numpy())[1] for wanted in bands.T])
    residuals = []
    for updates in (0, 10, 60, 2000):
        inversion = GriffinLim(updates=updates)
        found = inversion.magnitudes(mel)[0].double()
        assert (found >= 0).all()
        residuals.append((inversion.bank.double() @ found - bands).norm(dim=0).numpy() - exact)
    assert (np.diff(np.sum(residuals, axis=1)) < 0).all()
    assert (residuals[-1] < 1e-3 * bands.norm(dim=0).numpy()).all()


def test_a_tone_keeps_its_pitch_and_loudness():
    time = torch.arange(RATE) / RATE
    tone = 0.5 * torch.sin(2 * torch.pi * 500 * time)[None]
    again = GriffinLim()(LogMel()(tone))[0]
    spectrum = torch.fft.rfft(again).abs()
    assert abs(int(spectrum.argmax()) - 500) <= 10  # bands are 60 Hz wide there
    assert float(again.square().mean()) == pytest.approx(float(tone.square().mean()), rel=0.25)


def test_a_clip_does_not_depend_on_its_batch_and_repeats():
    mel = LogMel()(sounds(3))
    inversion = GriffinLim(iterations=8)
    whole = inversion(mel)
    torch.testing.assert_close(inversion(mel), whole, rtol=0, atol=0)
    torch.testing.assert_close(inversion(mel[1:2])[0], whole[1], rtol=0, atol=1e-4)
    assert not torch.allclose(GriffinLim(iterations=8, seed=1)(mel), whole, atol=1e-3)


@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_any_number_of_frames_gives_its_samples(frames):
    assert GriffinLim(2)(torch.zeros(2, frames, 64)).shape == (2, frames * 160)


def test_silence_is_silent_and_what_a_diverged_model_says_is_still_a_sound():
    inversion = GriffinLim(4)
    quiet = inversion(torch.full((1, 20, 64), float(np.log(FLOOR))))
    assert quiet.abs().max() < 1e-3
    broken = torch.full((1, 20, 64), torch.nan)
    broken[:, 5], broken[:, 6] = torch.inf, 1e30
    assert torch.isfinite(inversion(broken)).all()


def test_another_number_of_bands_is_refused():
    with pytest.raises(ValueError, match="80 mel bands, needed are 64"):
        GriffinLim()(torch.zeros(1, 10, 80))
