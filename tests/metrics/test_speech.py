from __future__ import annotations

import builtins
import importlib.util

import numpy as np
import pytest

from eeg2speech.audio import RATE
from eeg2speech.metrics import speech
from eeg2speech.metrics.speech import estoi, left_out, pesq, speech_figures, stoi, without_value

CORRELATIONS = ("mel_corr", "band_corr", "stoi", "estoi")
DISTANCES = ("mcd_dtw", "lsd")


def voices(count, seconds=2.0, seed=0):
    """Syllables: harmonics of a gliding pitch under moving formants, with pauses between."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    waves = []
    for _ in range(count):
        pitch = 120 + 30 * np.sin(2 * np.pi * rng.uniform(0.3, 1) * time + rng.uniform(0, 6))
        formants = [
            centre + 300 * np.sin(2 * np.pi * rng.uniform(1, 3) * time + rng.uniform(0, 6)) for centre in (700, 2000)
        ]
        turns = 2 * np.pi * np.cumsum(pitch) / RATE
        tone = sum(
            np.sin(k * turns) * sum(np.exp(-np.square((k * pitch - formant) / 300)) for formant in formants)
            for k in range(1, 40)
        )
        swell = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * time + rng.uniform(0, 6)), 0.05, None)
        waves.append(0.2 * tone * swell + 0.002 * rng.standard_normal(len(time)))
    return np.stack(waves).astype(np.float32)


CLIPS = voices(4)


def mean(generated, reference=CLIPS):
    figures = speech_figures(reference, generated.astype(np.float32))
    assert all(values.shape == (len(reference),) for values in figures.values())
    return {name: values.mean() for name, values in figures.items()}


def test_a_sound_is_like_itself():
    found = mean(CLIPS)
    assert list(found) == ["mel_corr", "band_corr", "mcd_dtw", "lsd", "stoi", "estoi", "pesq"]
    for name in CORRELATIONS:
        assert found[name] == pytest.approx(1, abs=1e-5)
    for name in DISTANCES:
        assert found[name] == pytest.approx(0, abs=1e-5)
    assert found["pesq"] == pytest.approx(4.644, abs=0.01)


def test_loudness_and_offset_do_not_count():
    quiet = mean(0.05 * CLIPS + 0.1)
    for name, value in mean(CLIPS).items():
        assert quiet[name] == pytest.approx(value, abs=2e-2 if name == "pesq" else 2e-3)


def test_worse_sounds_score_worse():
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(CLIPS.shape) * CLIPS.std()
    found = [mean(CLIPS + share * hiss) for share in (0.03, 0.3)]
    found.append(mean(hiss))
    for name in CORRELATIONS:
        values = [each[name] for each in found]
        assert values == sorted(values, reverse=True)
    for name in DISTANCES:
        values = [each[name] for each in found]
        assert values == sorted(values)


def test_unrelated_sounds_are_at_nought_where_a_figure_is_zero_based():
    other = speech_figures(voices(60, seed=1), voices(60, seed=2), ["band_corr"])["band_corr"]
    assert abs(other.mean()) < 3 * other.std() / 60**0.5 < 0.1
    hiss = mean(np.random.default_rng(0).standard_normal(CLIPS.shape))
    assert abs(hiss["mel_corr"]) < 0.1
    assert hiss["stoi"] > 0.1  # it is not zero-based, which is why it is not read alone


def test_a_delay_costs_correlation_but_hardly_distortion():
    late = mean(np.roll(CLIPS, RATE // 10, axis=1))
    other = mean(np.roll(CLIPS, 1, axis=0))
    assert late["band_corr"] < 0.5
    assert late["lsd"] > 3
    assert late["mcd_dtw"] < 0.4 * other["mcd_dtw"]


def test_clips_without_a_value_are_counted_and_leave_others_unchanged():
    broken = np.concatenate([CLIPS, CLIPS])
    reference = broken.copy()
    broken[0], broken[1], broken[2, 7], reference[3] = 0, 0.3, np.nan, 1e-6
    figures = speech_figures(reference, broken)
    assert set(without_value(figures).values()) == {4}
    for name, values in speech_figures(CLIPS, CLIPS).items():
        np.testing.assert_allclose(figures[name][4:], values, rtol=1e-6, atol=1e-6)


def test_a_clipped_sound_is_measured():
    clipped = mean(np.clip(50 * CLIPS, -1, 1))
    assert all(np.isfinite(value) for value in clipped.values())
    assert 0.2 < clipped["band_corr"] < 1


@pytest.mark.parametrize("samples", [0, 1, 1599])
def test_too_short_a_sound_has_no_figures(samples):
    figures = speech_figures(CLIPS[:, :samples], CLIPS[:, :samples])
    assert set(without_value(figures).values()) == {4}


def test_a_tenth_of_a_second_is_enough_for_spectra():
    figures = speech_figures(CLIPS[:, :1600], CLIPS[:, :1600], ["mel_corr", "band_corr", "mcd_dtw", "lsd"])
    assert set(without_value(figures).values()) == {0}


def test_no_clips_have_no_figures():
    assert {values.shape for values in speech_figures(CLIPS[:0], CLIPS[:0]).values()} == {(0,)}


def test_a_short_word_has_no_intelligibility_but_spectral_figures():
    mute = CLIPS[:1].copy()
    mute[:, 3200:] = 0
    figures = speech_figures(mute, CLIPS[:1])
    assert np.isnan(figures["stoi"]).all()
    assert np.isnan(figures["estoi"]).all()
    assert np.isfinite(figures["mel_corr"]).all()
    assert np.isnan(stoi(mute[0], mute[0]))


def test_a_sound_without_an_utterance_has_no_perceptual_quality():
    short = CLIPS[:, :3200]  # it wants a quarter of a second
    assert np.isnan(speech_figures(short, short, ["pesq"])["pesq"]).all()
    assert np.isnan(pesq(0 * CLIPS[0], CLIPS[0]))


def test_only_the_figures_that_are_wanted_are_computed(monkeypatch):
    monkeypatch.setattr(speech, "pesq", lambda *_: pytest.fail("was not asked for"))
    assert list(speech_figures(CLIPS, CLIPS, ["mel_corr", "lsd"])) == ["mel_corr", "lsd"]


def test_figures_equal_those_of_the_packages():
    from pystoi import stoi as package

    other = CLIPS + 0.1 * np.random.default_rng(0).standard_normal(CLIPS.shape).astype(np.float32)
    assert stoi(CLIPS[0], other[0]) == pytest.approx(package(CLIPS[0], other[0], RATE), rel=1e-5)
    assert estoi(CLIPS[0], other[0]) == pytest.approx(package(CLIPS[0], other[0], RATE, extended=True), rel=1e-5)


def test_a_missing_package_is_named_and_its_figure_left_out(monkeypatch):
    assert left_out() == {}
    found = importlib.util.find_spec
    monkeypatch.setattr(speech, "find_spec", lambda name: None if name == "pesq" else found(name))
    original = builtins.__import__

    def without(name, *rest):
        if name == "pesq":
            raise ModuleNotFoundError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pesq" not in speech_figures(CLIPS[:1], CLIPS[:1])
    assert left_out() == {"pesq": "the package pesq is not installed: pip install pesq"}


def test_sounds_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shapes have to be equal"):
        speech_figures(CLIPS, CLIPS[:, 1:])
