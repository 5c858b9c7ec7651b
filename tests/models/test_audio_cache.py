from __future__ import annotations

import numpy as np
import pytest
import torch

from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.models.audio.cached import CachedAudio
from eeg2speech.models.audio.encoder import SpectrogramViT


def make_encoder(seed=0, **settings):
    torch.manual_seed(seed)
    return SpectrogramViT(**{"width": 16, "depth": 1, "heads": 2} | settings)


def noise(batch=3, steps=2, seed=0):
    return 0.1 * torch.randn(batch, 2560 * steps, generator=torch.Generator().manual_seed(seed))


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 2e-3), ("fp32", 0.0)])
def test_tokens_are_the_encoders_and_are_computed_once(tmp_path, precision, tolerance):
    encoder, audio = make_encoder(), noise()
    cached = CachedAudio(encoder, tmp_path, precision)
    first, second = cached(audio), cached(audio.flip(0)).flip(0)
    torch.testing.assert_close(first, encoder(audio), atol=tolerance, rtol=0)
    assert torch.equal(first, second)
    assert first.dtype == torch.float32
    assert cached.computed == 3
    assert [file.stat().st_size for file in files(tmp_path)] == [128 + 2 * 8 * 16 * int(precision[2:]) // 8] * 3
    assert all(file.parent.name == file.name[:2] and file.suffix == ".npy" for file in files(tmp_path))
    anew = CachedAudio(make_encoder(), tmp_path, precision)
    assert torch.equal(anew(audio), first)
    assert anew.computed == 0


def test_the_same_sound_twice_in_a_batch_is_computed_once(tmp_path):
    cached = CachedAudio(make_encoder(), tmp_path)
    audio = noise(2)[[0, 1, 0, 0]]
    tokens = cached(audio)
    assert cached.computed == 2
    assert torch.equal(tokens[0], tokens[3])
    assert not torch.equal(tokens[0], tokens[1])


def test_sounds_that_are_partly_known_come_in_order(tmp_path):
    encoder, audio = make_encoder(), noise(5)
    cached = CachedAudio(encoder, tmp_path, "fp32")
    cached(audio[[1, 3]])
    torch.testing.assert_close(cached(audio), encoder(audio))
    assert cached.computed == 5


def change_weight(encoder):
    with torch.no_grad():
        encoder.encoder.embedding.bias[0] += 1


@pytest.mark.parametrize("how", ["another encoder", "weights changed", "weights loaded", "precision", "a sample"])
def test_nothing_stale_is_returned(tmp_path, how):
    encoder, audio = make_encoder(), noise()
    cached = CachedAudio(encoder, tmp_path, "fp32")
    cached(audio)
    if how == "another encoder":
        encoder = make_encoder(1)
        cached = CachedAudio(encoder, tmp_path, "fp32")
    elif how == "weights changed":
        change_weight(encoder)
    elif how == "weights loaded":
        cached.load_state_dict(CachedAudio(make_encoder(1), tmp_path).state_dict())
    elif how == "precision":
        cached = CachedAudio(encoder, tmp_path, "fp16")
    else:
        audio[:, 77] += 1e-3
    known = cached.computed
    torch.testing.assert_close(cached(audio), encoder(audio), atol=2e-3 if how == "precision" else 1e-6, rtol=0)
    assert cached.computed == known + 3


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "another shape", "another type", "pickled"])
def test_damaged_files_are_computed_again(tmp_path, how):
    cached, audio = CachedAudio(make_encoder(), tmp_path), noise(1)
    good = cached(audio)
    [file] = files(tmp_path)
    content = file.read_bytes()
    if how == "truncated":
        file.write_bytes(content[:-10])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("no array")
    else:
        other = {
            "another shape": np.zeros((1, 8, 16), np.float16),
            "another type": np.zeros((2, 8, 16), np.float64),
            "pickled": np.array([print], dtype=object),
        }[how]
        np.save(file, other)
    assert torch.equal(cached(audio), good)
    assert cached.computed == 2
    assert file.read_bytes() == content
    assert files(tmp_path) == [file]


def test_a_trained_encoder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be cached"):
        CachedAudio(make_encoder(trainable=True), tmp_path)
    cached = CachedAudio(make_encoder(), tmp_path)
    cached.encoder.requires_grad_(True)
    with pytest.raises(ConfigError, match="cannot be cached"):
        cached(noise())


def test_it_stands_for_its_encoder(tmp_path, monkeypatch):
    monkeypatch.setenv("EEG2SPEECH_CACHE", str(tmp_path / "cache"))
    encoder = make_encoder()
    cached = CachedAudio(encoder)
    assert (cached.width, cached.rows, cached.config) == (encoder.width, encoder.rows, encoder.config)
    assert cached.cache.folder == tmp_path / "cache/audio"
    assert cached.frozen
    assert not cached.train().training
    assert not cached(noise()).requires_grad
    with pytest.raises(ConfigError, match=r"data\.window"):
        cached(torch.zeros(1, 100))


def test_mixed_precision_does_not_get_into_the_files(tmp_path):
    encoder, audio = make_encoder(), noise()
    cached = CachedAudio(encoder, tmp_path, "fp32")
    with torch.autocast("cpu", torch.bfloat16):
        tokens = cached(audio)
    torch.testing.assert_close(tokens, encoder(audio))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DiskError, match=r"file.*cannot be written .* EEG2SPEECH_CACHE"):
        CachedAudio(make_encoder(), blocked)(noise())
