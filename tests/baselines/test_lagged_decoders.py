from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from linear_worlds import planted, ranks
from scipy.signal import butter, sosfiltfilt

from eeg2speech.audio.speech_features import NAMES, speech_features
from eeg2speech.baselines.lagged_decoders import CCA, BackwardTRF
from eeg2speech.baselines.moments import Moments, averaged, centred, lagged, ridge_path
from eeg2speech.core.errors import ConfigError, DataError

DECODERS = [BackwardTRF, CCA]


def fitted(make, gain, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    stretches = [planted(rng, 1500, gain=gain) for _ in range(8)]
    stretches = [(eeg * scale, features) for eeg, features in stretches]
    return make().fit(stretches[:6], stretches[6:])


def windows(gain, count=60, seed=1):
    rng = np.random.default_rng(seed)
    eeg, sound = zip(*[planted(rng, 320, gain=gain) for _ in range(count)], strict=True)
    return np.stack(eeg), np.stack(sound)


def test_lagged_rows_equal_a_slow_loop():
    signal = np.random.default_rng(0).standard_normal((2, 3, 12)).astype(np.float32)
    lags = [-2, 0, 3, 20]
    got = lagged(signal, lags)
    for block, lag in enumerate(lags):
        for t in range(12):
            expected = signal[..., t + lag] if 0 <= t + lag < 12 else 0
            np.testing.assert_array_equal(got[:, 3 * block : 3 * block + 3, t], np.broadcast_to(expected, (2, 3)))


def test_moments_of_stretches_add_up_to_those_of_both():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 90)), rng.standard_normal((2, 90))
    whole, parts = Moments.of(x, y), Moments.of(x[:, :40], y[:, :40]) + Moments.of(x[:, 40:], y[:, 40:])
    for name in ("xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name))
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((2, 3))
    flat = Moments.of(x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True))
    expected = [np.corrcoef(a[:, k] @ x, b[:, k] @ y)[0, 1] for k in range(3)]
    np.testing.assert_allclose(flat.correlations(a, b), expected)


@pytest.mark.parametrize("make", DECODERS)
def test_a_planted_relation_is_found(make):
    decoder = fitted(make, gain=0.5)
    eeg, sound = windows(gain=0.5)
    rank = ranks(decoder.embed_eeg(eeg), decoder.embed_sound(sound))
    assert (rank == 0).mean() > 0.9


@pytest.mark.parametrize("make", DECODERS)
def test_noise_is_at_chance(make):
    decoder = fitted(make, gain=0.0)
    eeg, sound = windows(gain=0.0, count=200)
    rank = ranks(decoder.embed_eeg(eeg), decoder.embed_sound(sound))
    assert abs(rank.mean() / 199 - 0.5) < 0.07  # 3.4 standard errors
    assert (rank == 0).mean() <= 0.03


@pytest.mark.parametrize("make", DECODERS)
def test_embeddings_are_unit_vectors_whose_product_is_the_weighted_correlation(make):
    decoder = fitted(make, gain=0.3)
    eeg, sound = windows(gain=0.3, count=5)
    x, y = decoder.embed_eeg(eeg), decoder.embed_sound(sound)
    assert x.shape == y.shape == (5, len(decoder.weights) * 160)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, rtol=1e-5)
    a, b = decoder.project_eeg(eeg[2]), decoder.project_sound(sound[3])
    r = [np.corrcoef(p, q)[0, 1] for p, q in zip(a, b, strict=True)]
    assert x[2] @ y[3] == pytest.approx(np.average(r, weights=decoder.weights), abs=1e-5)
    np.testing.assert_allclose(decoder.embed_eeg(eeg[2]), x[2], atol=1e-5)  # alone as in a batch


@pytest.mark.parametrize("make", DECODERS)
def test_the_scale_of_the_eeg_does_not_matter(make):
    eeg, _ = windows(gain=0.3, count=3)
    scale = np.array([1e-6, 1, 10, 1, 1e3, 1], np.float32)[:, None]
    one, other = fitted(make, 0.3), fitted(make, 0.3, scale=scale)
    assert one.strength == other.strength
    np.testing.assert_allclose(np.abs(one.project_eeg(eeg)), np.abs(other.project_eeg(eeg * scale)), atol=2e-3)


def test_ridge_equals_least_squares_when_the_penalty_vanishes():
    eeg, sound = planted(np.random.default_rng(0), 3000)
    decoder = BackwardTRF(100, 1, (0.0, 0.1), strengths=(1e-9,)).fit([(eeg, sound)], [(eeg, sound)])
    x = lagged(centred(eeg), range(11))
    expected = np.linalg.lstsq(x.T.astype(np.float64), centred(sound).T.astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(decoder.from_eeg, expected, atol=1e-4)


@pytest.mark.parametrize("gain", [0.5, 0.0])
def test_a_reconstruction_follows_the_features_only_where_the_eeg_does(gain):
    eeg, sound = planted(np.random.default_rng(3), 3000, gain=gain)
    predicted, target = fitted(BackwardTRF, gain).project_eeg(eeg), averaged(sound, 2)
    r = np.array([np.corrcoef(one, other)[0, 1] for one, other in zip(predicted, target, strict=True)])
    assert (r > 0.8).all() if gain else (np.abs(r) < 0.15).all()


def test_a_ridge_path_solves_the_penalised_equations():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 90)), rng.standard_normal((2, 90))
    for penalty, weights in zip((0.1, 10.0), ridge_path(x @ x.T, x @ y.T, (0.1, 10.0)), strict=True):
        np.testing.assert_allclose(weights, np.linalg.solve(x @ x.T + penalty * np.eye(5), x @ y.T))


@pytest.mark.parametrize("make", DECODERS)
def test_flat_channels_and_silence_do_no_harm(make):
    rng = np.random.default_rng(0)
    stretches = [planted(rng, 1000) for _ in range(4)]
    for eeg, features in stretches:
        eeg[2], features[1] = 0, 0
    decoder = make().fit(stretches[:3], stretches[3:])
    assert np.isfinite(decoder.embed_eeg(stretches[0][0])).all()
    assert not decoder.embed_sound(np.zeros((3, 320))).any()


def test_data_that_cannot_be_fitted_are_refused():
    eeg, sound = planted(np.random.default_rng(0), 500)
    with pytest.raises(DataError, match="no stretch"):
        BackwardTRF().moments([])
    with pytest.raises(DataError, match="500 samples with features of 499"):
        CCA().moments([(eeg, sound[:, 1:])])
    with pytest.raises(ConfigError, match="factor=0"):
        BackwardTRF(factor=0)


def test_features_follow_the_sound():
    time = np.arange(32_000) / 16_000
    wave = (np.sin(2 * np.pi * 1000 * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 4).astype(np.float32)
    wave[16_000:] = 0
    features = speech_features(wave)
    assert features.shape == (len(NAMES), 200)
    envelope, onset, bands = features[0], features[1], features[2:]
    assert np.corrcoef(envelope[5:95], 1 + np.sin(2 * np.pi * 3 * np.arange(5, 95) / 100))[0, 1] > 0.95
    assert (onset >= 0).all()
    assert not features[:, 105:].any()
    assert bands.sum(axis=1).argmax() == pytest.approx(5, abs=1)  # 1 kHz: about a third of the mel axis
    np.testing.assert_allclose(speech_features(wave[4800:8000])[:, 3:-3], features[:, 33:47], rtol=1e-4, atol=1e-4)


@pytest.mark.real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_published_sparrkulee_is_tracked_as_published():
    """Two people and 119 s: a backward TRF to the envelope from 1 to 8 Hz gives 0.06 and 0.14 within a person."""
    root = Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "sparrkulee_truncated" / "derivatives"
    envelope = np.load(next((root / "stimuli").glob("*envelope.npy"))).T
    band = butter(2, (1.0, 8.0), "bandpass", fs=64, output="sos")
    for file in sorted((root / "eeg").glob("*/*/*.npy")):
        eeg = np.load(file)[:, : envelope.shape[1]]
        features = sosfiltfilt(band, envelope[:, : eeg.shape[1]])
        stretches = list(zip(np.array_split(eeg, 6, axis=1), np.array_split(features, 6, axis=1), strict=True))
        r = []
        for tested in range(6):  # the penalty is chosen on the stretch after the tested one
            chosen = (tested + 1) % 6
            train = [stretches[other] for other in range(6) if other not in (tested, chosen)]
            decoder = BackwardTRF(64, 2).fit(train, [stretches[chosen]])
            predicted, target = decoder.project_eeg(stretches[tested][0]), averaged(stretches[tested][1], 2)
            r.append(np.corrcoef(predicted[0], target[0])[0, 1])
        low, high = {"sub-027": (0.02, 0.10), "sub-031": (0.10, 0.20)}[file.parts[-3]]
        assert low < np.mean(r) < high
