"""Language of audio: the tokens, their pooling and their scale, and an aligner that predicts them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.losses import InfoNCE
from eeg2speech.models import Aligner, AudioMAE, CachedAudio, SpectrogramViT
from eeg2speech.models.audio.loa import BLOCKS, LOAScale, pool_loa
from eeg2speech.models.eeg.heads import FlatMixing, TemporalContext, embed
from eeg2speech.models.eeg.subject import SubjectLayer
from eeg2speech.models.rebuild import rebuild_aligner
from tests.models.networks import make_batch, make_encoder

SUBJECT = torch.tensor([0, 2, -1])


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loa_of(aligner, *eeg):
    return aligner.loa_of_steps(aligner.eeg_steps(*eeg))


def pooled_by_hand(flat, steps):
    """Tokens with index t * 8 + f, pooled stretch by stretch as the general checkpoint's are."""
    flat = flat.numpy().astype(np.float64)
    stretches = range(0, flat.shape[1], steps * 8)
    return np.stack(
        [(flat[:, s : s + steps * 8].mean(1) + flat[:, s : s + steps * 8].max(1)) / 2 for s in stretches], 1
    )


@pytest.mark.parametrize(("length", "count"), [(64, 8), (20, 3), (8, 1), (3, 1)])
def test_pooling_is_half_mean_half_maximum_of_eight_by_eight(length, count):
    tokens = noise(2, length, 8, 5)
    pooled = pool_loa(tokens)
    assert pooled.shape == (2, count, 5)
    np.testing.assert_allclose(pooled.numpy(), pooled_by_hand(tokens.flatten(1, 2), 8), atol=1e-6)


def test_tokens_are_the_mean_of_audiomaes_last_normed_outputs():
    """Against timm's own way to its blocks, at AudioMAE's full length."""
    torch.manual_seed(0)
    encoder = AudioMAE(blocks=list(BLOCKS), width=24, depth=12, heads=2)
    audio = 0.1 * noise(2, 64 * 2560)
    outputs = encoder.vit.forward_intermediates(
        encoder.fbank(audio)[:, None], indices=list(BLOCKS), norm=True, output_fmt="NLC", intermediates_only=True
    )
    expected = torch.stack(outputs).mean(0)
    tokens = encoder(audio)
    torch.testing.assert_close(tokens.flatten(1, 2), expected, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(pool_loa(tokens), pooled_by_hand(expected.detach(), 8), atol=1e-5)


def scale_of(tokens, batch=3):
    scale = LOAScale(*tokens.shape[2:])
    scale.fit(tokens.split(batch))
    return scale


def test_each_feature_is_standardised_over_windows_and_steps_whatever_the_batches():
    tokens = 3 * noise(7, 5, 8, 4) * torch.arange(1, 33).view(8, 4) + 10 * noise(8, 4, seed=1)
    scale = scale_of(tokens)
    standard = scale(tokens).view(35, 32)
    torch.testing.assert_close(standard.mean(0), torch.zeros(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(0, unbiased=False), torch.ones(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(scale_of(tokens, 7).spread, scale.spread)
    torch.testing.assert_close(scale.restore(scale(tokens)), tokens, atol=1e-4, rtol=1e-5)


def test_a_feature_that_does_not_change_is_not_blown_up():
    tokens = noise(6, 5, 8, 4)
    tokens[:, :, 2, 1] = 7
    scale = scale_of(tokens)
    rounded = tokens.half().float() + 1e-4
    assert scale(rounded).abs().max() < 10
    torch.testing.assert_close(scale.restore(scale(rounded)), rounded)


@pytest.mark.parametrize("tokens", [torch.ones(2, 5, 8, 4), torch.full((2, 5, 8, 4), torch.nan)])
def test_sounds_without_any_change_are_refused_and_leave_no_trace(tokens):
    scale = LOAScale(8, 4)
    with pytest.raises(DataError, match=r"10 steps .*\(data.store\).*\(model.audio_weights\)"):
        scale.fit([tokens])
    assert (scale.mean == 0).all()
    assert (scale.spread == 1).all()


def make_aligner(trainable=False, target="loa", **settings):
    torch.manual_seed(0)
    encoder = make_encoder()
    audio = SpectrogramViT(trainable=trainable, width=16, depth=1, heads=2)
    aligner = Aligner(encoder, audio, 4, 12, **{"width": 16, "target": target} | settings)
    aligner.subject_layer.mark_trained((0, 1, 2))
    return aligner


def fitted(**settings):
    aligner = make_aligner(**settings)
    aligner.sound_head.fit([aligner.audio(0.1 * noise(4, 12800, seed=5))])
    return aligner


@pytest.mark.parametrize("similarity", ["steps", "window", "pooled"])
def test_sound_is_its_standardised_tokens_and_eeg_a_prediction_of_them(similarity):
    aligner = fitted(similarity=similarity, features=7).eval()
    eeg, positions = make_batch(channels=12)
    sound = 0.1 * noise(3, 12800)
    tokens = aligner.audio(sound)
    steps = aligner.sound_steps(sound)
    torch.testing.assert_close(steps, ((tokens - aligner.sound_head.mean) / aligner.sound_head.spread).flatten(2))
    torch.testing.assert_close(aligner.embed_sound(sound), embed(steps, similarity))
    assert aligner.eeg_steps(eeg, positions, None, SUBJECT).shape == steps.shape == (3, 5, 8 * 16)
    assert aligner.embed_eeg(eeg, positions, None, SUBJECT).shape == aligner.embed_sound(sound).shape
    with torch.no_grad():
        told = loa_of(aligner, eeg, positions, None, SUBJECT)
        torch.testing.assert_close(aligner.project(told), aligner.eeg_steps(eeg, positions, None, SUBJECT))
        assert told.shape == tokens.shape
        aligner.eeg_head.weight.zero_()
        aligner.eeg_head.bias.zero_()
        nothing = loa_of(aligner, eeg, positions, None, SUBJECT)
    torch.testing.assert_close(nothing, aligner.sound_head.mean.expand(3, 5, -1, -1))


def test_gradient_reaches_everything_that_is_trained_and_no_more_is():
    aligner = fitted()
    eeg, positions = make_batch(channels=12)
    aligner.eeg_steps(eeg, positions, None, SUBJECT).square().sum().backward()
    missing = [name for name, p in aligner.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    trained = [name for name, p in aligner.named_parameters() if p.requires_grad]
    assert not [name for name in trained if name.startswith(("audio.", "sound_head."))]


def test_a_target_that_is_trained_is_refused():
    with pytest.raises(ConfigError, match=r"target=loa .*model.audio.init_args.trainable"):
        make_aligner(trainable=True)


def test_an_aligner_with_a_space_of_its_own_predicts_no_tokens():
    eeg, positions = make_batch(channels=12)
    with pytest.raises(ConfigError, match=r"target=joint .*configs/alignment/loa.yaml"):
        loa_of(make_aligner(target="joint"), eeg, positions, None, SUBJECT)


@pytest.mark.parametrize("cached", [False, True])
def test_description_and_weights_rebuild_the_prediction(cached, tmp_path):
    aligner = fitted().eval()
    if cached:
        aligner.audio = CachedAudio(aligner.audio, tmp_path, "fp32")
    eeg, positions = make_batch(channels=12)
    again = rebuild_aligner(json.loads(json.dumps(aligner.description)), aligner.state_dict(), "here")
    with torch.no_grad():
        expected = loa_of(aligner, eeg, positions, None, SUBJECT)
        torch.testing.assert_close(loa_of(again, eeg, positions, None, SUBJECT), expected)
        sound = 0.1 * noise(2, 12800)
        torch.testing.assert_close(again.embed_sound(sound), aligner.embed_sound(sound), atol=1e-6, rtol=1e-5)


def test_a_description_without_targets_has_a_space_of_its_own():
    aligner = make_aligner(target="joint", trainable=True)
    described = aligner.description
    del described["config"]["target"]
    again = rebuild_aligner(described, aligner.state_dict(), "here")
    assert isinstance(again.sound_head, nn.Linear)
    assert again.config == aligner.config


def test_the_joint_space_is_built_as_before_there_were_targets():
    """The parts in the order in which they have always been made, so that a seed means what it meant."""
    aligner = make_aligner(target="joint", trainable=True, features=8)
    torch.manual_seed(0)
    encoder = make_encoder()
    audio = SpectrogramViT(trainable=True, width=16, depth=1, heads=2)
    layer = SubjectLayer(4, 12)
    layer.mark_trained((0, 1, 2))
    rows, context = FlatMixing(16, 3, 16), TemporalContext(16, 5, 1, 0.0)
    eeg_head, sound_head = nn.Linear(16, 8), nn.Linear(8 * 16, 8)
    eeg, positions = make_batch(channels=12)
    sound = 0.1 * noise(3, 12800)
    told = eeg_head(context(rows(encoder(layer(eeg, SUBJECT), positions, None))))
    true = sound_head(audio(sound).flatten(2))
    expected = InfoNCE()(embed(told, "steps"), embed(true, "steps"))
    vectors = aligner.embed_eeg(eeg, positions, None, SUBJECT), aligner.embed_sound(sound)
    assert torch.equal(InfoNCE()(*vectors), expected)
    made = [encoder, audio, layer, rows, context, eeg_head, sound_head]
    assert len(aligner.state_dict()) == sum(len(module.state_dict()) for module in made)
