from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from eeg2speech.audio.speech_features import speech_features
from eeg2speech.baselines.lagged_decoders import CCA
from eeg2speech.baselines.linear import METHODS, Method, fit_linear
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Segment
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.store.store import Description
from eeg2speech.data.store.writer import StoreWriter
from tests.tiny_stores import head_channels

SMALL = METHODS | {"cca": Method(partial(CCA, components=4))}


def write_listeners(root, gain, channels=(5, 5, 5), stimuli=12, seconds=10, shuffled=False):
    """Listeners whose EEG holds the envelope of modulated noise 100 ms later, each with a pattern of their own."""
    rng = np.random.default_rng(0)
    writer = StoreWriter(root, Description("heard", "tests", "CC0", "none", simulated=True, rate=100))
    envelopes = []
    for k in range(stimuli):
        slow = np.interp(np.arange(seconds * 16_000) / 3200, np.arange(seconds * 5 + 1), rng.random(seconds * 5 + 1))
        wave = (0.3 * slow**2 * rng.standard_normal(len(slow))).astype(np.float32)
        writer.add_audio(f"s{k:02d}", np.clip(wave, -1, 1))
        envelopes.append(speech_features(wave)[0])
    for subject, count in enumerate(channels):
        pattern = 1 + 0.3 * rng.standard_normal((count, 1))
        eeg = rng.standard_normal((count, stimuli * (seconds + 1) * 100))
        for k, envelope in enumerate(envelopes):
            start = k * (seconds + 1) * 100 + 10
            eeg[:, start : start + len(envelope)] += gain * pattern * (envelope - envelope.mean()) / envelope.std()
        name = f"sub-{subject}"
        segments = [
            Segment(name, k * (seconds + 1), seconds, f"s{k:02d}", 0.0, "listening", "") for k in range(stimuli)
        ]
        electrodes = head_channels(count)
        if shuffled and subject == 1:
            electrodes, eeg = electrodes[::-1], eeg[::-1]
        writer.add(name, name, "", "", (5 * eeg).astype(np.float32), electrodes, segments, {})
    return writer.finish()


def data_module(root, **more):
    data = EEGAudioDataModule(root, window=3.2, audio=True, split=Split(test=0.25, val=0.2), **more)
    data.setup()
    return data


def top1(embedded, data, part):
    batches = list(data.batches(part))
    sound = np.concatenate([b["stimulus"].numpy() * 1000 + b["sound_start"].numpy() for b in batches])
    subject = np.concatenate([b["subject"].numpy() for b in batches])
    keys, first, own = np.unique(sound, return_index=True, return_inverse=True)
    best = (embedded.eeg @ embedded.sound[first].T).argmax(1)
    return {one: (best == own)[subject == one].mean() for one in np.unique(subject)}, 1 / len(keys)


@pytest.fixture(scope="module")
def listeners(tmp_path_factory):
    return write_listeners(tmp_path_factory.mktemp("linear") / "store", gain=1.0)


def test_every_list_is_decoded_from_data_with_a_response(listeners):
    data = data_module(listeners)
    fitted = fit_linear(data, SMALL)
    seen = fitted.embed(data, "unseen_stimulus")
    assert sorted(seen) == ["cca own", "cca pooled", "ridge own", "ridge pooled"]
    for part in ("unseen_stimulus", "unseen_subject", "unseen_both"):
        for name, embedded in fitted.embed(data, part).items():
            assert len(embedded.eeg) == len(embedded.sound) == len(data.datasets[part])
            np.testing.assert_allclose(np.linalg.norm(embedded.eeg, axis=1), 1, rtol=1e-5)
            np.testing.assert_allclose(np.linalg.norm(embedded.sound, axis=1), 1, rtol=1e-5)
            scores, _ = top1(embedded, data, part)
            assert min(scores.values()) > 0.7, (part, name)


def test_people_not_trained_on_have_no_decoder_of_their_own(listeners):
    data = data_module(listeners)
    fitted = fit_linear(data, SMALL)
    assert sorted(fitted.embed(data, "unseen_subject")) == ["cca pooled", "ridge pooled"]
    assert sorted(fit_linear(data, SMALL, own=False).embed(data, "unseen_stimulus")) == ["cca pooled", "ridge pooled"]


def test_own_embeddings_give_the_similarities_of_the_own_decoders(listeners):
    data = data_module(listeners)
    fitted = fit_linear(data, {"ridge": METHODS["ridge"]})
    embedded = fitted.embed(data, "unseen_stimulus")["ridge own"]
    batch = next(iter(data.batches("unseen_stimulus")))
    decoder = fitted.own["ridge"][int(batch["subject"][0])]
    features = np.stack([speech_features(wave)[:1] for wave in batch["audio"].numpy()])
    expected = decoder.embed_eeg(batch["eeg"].numpy()[:1]) @ decoder.embed_sound(features).T
    got = embedded.eeg[:1] @ embedded.sound[: len(features)].T
    np.testing.assert_allclose(got * len(fitted.own["ridge"]) ** 0.5, expected, atol=1e-5)


def test_nothing_is_decoded_where_there_is_no_response(tmp_path):
    data = data_module(write_listeners(tmp_path / "store", gain=0.0))
    for name, embedded in fit_linear(data, SMALL).embed(data, "unseen_stimulus").items():
        scores, chance = top1(embedded, data, "unseen_stimulus")
        assert np.mean(list(scores.values())) < chance + 0.25, name  # 18 windows: three standard errors


def test_test_lists_are_never_read_in_fitting(listeners, monkeypatch):
    data = data_module(listeners)
    for part in data.test_splits:
        monkeypatch.delitem(data.datasets, part)
    untouched = fit_linear(data, SMALL)
    data = data_module(listeners)
    np.testing.assert_array_equal(untouched.pooled["cca"].from_eeg, fit_linear(data, SMALL).pooled["cca"].from_eeg)


def test_channels_are_matched_by_name(tmp_path):
    data = data_module(write_listeners(tmp_path / "store", 1.0, (5, 5, 4, 6), shuffled=True))
    fitted = fit_linear(data, SMALL)
    assert set(fitted.channels) <= {f"e{i}" for i in range(6)}
    for part in ("unseen_stimulus", "unseen_subject"):
        for name, embedded in fitted.embed(data, part).items():
            assert min(top1(embedded, data, part)[0].values()) > 0.6, (part, name)


def test_a_lag_of_the_data_is_fitted_and_tested_alike(listeners):
    data = data_module(listeners, lag=0.1)
    fitted = fit_linear(data, {"ridge": METHODS["ridge"]}, own=False)
    right = top1(fitted.embed(data, "unseen_stimulus")["ridge pooled"], data, "unseen_stimulus")[0]
    wrong = top1(fitted.embed(data, "unseen_stimulus", lag=-0.4)["ridge pooled"], data, "unseen_stimulus")[0]
    assert min(right.values()) > 0.7
    assert np.mean(list(wrong.values())) < 0.4


def test_validation_subjects_serve_those_who_have_no_validation_segments(tmp_path):
    root = write_listeners(tmp_path / "store", 1.0, (5, 5, 5, 5))
    data = EEGAudioDataModule(root, audio=True, split=Split(test=0.25, test_subjects=["sub-0"], val_subjects=["sub-1"]))
    data.setup()
    fitted = fit_linear(data, SMALL)
    assert sorted(fitted.own["cca"]) == [2, 3]
    assert min(top1(fitted.embed(data, "unseen_stimulus")["cca own"], data, "unseen_stimulus")[0].values()) > 0.7


def test_sound_is_needed(listeners):
    data = EEGAudioDataModule(listeners, split=Split(test=0.25, val=0.2))
    data.setup()
    with pytest.raises(ConfigError, match="audio=False"):
        fit_linear(data)
