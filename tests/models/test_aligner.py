from __future__ import annotations

import pytest
import torch

from eeg2speech.core.errors import ConfigError
from eeg2speech.models import Aligner, SpectrogramViT
from eeg2speech.models.eeg.heads import FlatMixing, RowPooling, TemporalContext, embed
from tests.models.networks import first_channels, make_batch, make_encoder

SUBJECT = torch.tensor([0, 2, -1])


def make_aligner(seed=0, known=(0, 1, 2), trainable=True, **settings):
    torch.manual_seed(seed)
    encoder = make_encoder(seed, patch=settings.pop("patch", (4, 16)))
    audio = SpectrogramViT(trainable=trainable, width=16, depth=1, heads=2)
    aligner = Aligner(encoder, audio, 4, 12, **{"features": 8, "width": 16} | settings)
    if aligner.subject_layer is not None:
        aligner.subject_layer.mark_trained(known)
    return aligner


def sounds(batch=3, seconds=0.8, seed=0):
    return 0.1 * torch.randn(batch, round(16_000 * seconds), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("spatial_pooling", ["flat", "pooling"])
@pytest.mark.parametrize("similarity", ["steps", "window", "pooled"])
def test_both_sides_are_unit_vectors_of_one_space(spatial_pooling, similarity):
    aligner = make_aligner(spatial_pooling=spatial_pooling, similarity=similarity).eval()
    eeg, positions = make_batch(channels=12)
    vectors = aligner.embed_eeg(eeg, positions, None, SUBJECT)
    heard = aligner.embed_sound(sounds())
    assert vectors.shape == heard.shape == (3, 8 if similarity == "pooled" else 5 * 8)
    for side in (vectors, heard):
        torch.testing.assert_close(side.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(aligner.embed_eeg(eeg[:1], positions[:1], None, SUBJECT[:1]), vectors[:1])


@pytest.mark.parametrize("spatial_pooling", ["flat", "pooling"])
def test_gradient_reaches_everything_that_is_trained(spatial_pooling):
    aligner = make_aligner(spatial_pooling=spatial_pooling, whitening=True)
    eeg, positions = make_batch(channels=12)
    target = torch.randn(3, 40)
    (aligner.embed_eeg(eeg, positions, None, SUBJECT) * target).sum().backward()
    (aligner.embed_sound(sounds()) * target).sum().backward()
    missing = [name for name, p in aligner.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


def test_similarity_by_steps_is_the_cosine_averaged_over_steps():
    one, other = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    got = (embed(one, "steps") * embed(other, "steps")).sum(1)
    one, other = (x - x.mean(1, keepdim=True) for x in (one, other))
    torch.testing.assert_close(got, torch.cosine_similarity(one, other, dim=2).mean(1))


def test_similarity_by_window_weighs_strong_steps():
    one, other = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    got = (embed(one, "window", centre=False) * embed(other, "window", centre=False)).sum(1)
    torch.testing.assert_close(got, torch.cosine_similarity(one.flatten(1), other.flatten(1)))


def test_a_constant_vector_is_left_out_only_if_centred():
    steps = torch.randn(2, 5, 8)
    torch.testing.assert_close(embed(steps + 3, "steps"), embed(steps, "steps"), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(embed(steps + 3, "steps", centre=False), embed(steps, "steps", centre=False), atol=0.1)


@pytest.mark.parametrize("spatial_pooling", ["flat", "pooling"])
def test_what_stands_in_missing_channels_does_not_matter(spatial_pooling):
    aligner = make_aligner(spatial_pooling=spatial_pooling).eval()
    eeg, positions = make_batch(channels=12)
    mask = first_channels(3, 12, [12, 8, 7])
    filled = eeg.masked_fill(~mask[..., None], 7.0)
    expected = aligner.embed_eeg(eeg, positions, mask, SUBJECT)
    torch.testing.assert_close(aligner.embed_eeg(filled, positions, mask, SUBJECT), expected)


def test_pooling_does_not_ask_in_which_order_groups_come():
    pooling = RowPooling(6, 4, outputs=3, features=5)
    tokens, codes = torch.randn(2, 7, 4, 6), torch.randn(2, 4, 4)
    order = torch.tensor([2, 0, 3, 1])
    expected = pooling(tokens, codes, None)
    torch.testing.assert_close(pooling(tokens[:, :, order], codes[:, order], None), expected)


def test_pooling_survives_a_window_without_any_channel():
    pooling = RowPooling(6, 4, outputs=3, features=5)
    exists = torch.tensor([[True, False, True], [False, False, False]])
    tokens = torch.randn(2, 7, 3, 6) * exists[:, None, :, None]
    assert pooling(tokens, torch.randn(2, 3, 4), exists).isfinite().all()


def test_flat_mixing_takes_smaller_montages_and_refuses_larger_ones():
    mixing = FlatMixing(6, rows=3, features=5)
    assert mixing(torch.randn(2, 7, 2, 6)).shape == (2, 7, 5)
    with pytest.raises(ValueError, match="4 rows"):
        mixing(torch.randn(2, 7, 4, 6))


def test_context_reaches_half_a_kernel_either_way():
    context = TemporalContext(4, kernel=5, depth=1, dropout=0.0)
    steps = torch.randn(1, 11, 4)
    changed = steps.clone()
    changed[:, 5, 0] += 1
    moved = (context(changed) - context(steps)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [3 <= step <= 7 for step in range(11)]


def test_subjects_are_told_apart_only_by_what_was_learned():
    aligner = make_aligner().eval()
    eeg, positions = make_batch(channels=12)
    first = aligner.embed_eeg(eeg, positions, None, torch.tensor([0, 0, 0]))
    torch.testing.assert_close(aligner.embed_eeg(eeg, positions, None, torch.tensor([1, 2, -1])), first)
    with torch.no_grad():
        aligner.subject_layer.change[1] = torch.randn(12, 12)
    assert not torch.allclose(aligner.embed_eeg(eeg, positions, None, torch.tensor([1, 1, 1])), first, atol=1e-3)


@pytest.mark.parametrize(("settings", "key"), [({"kernel": 4}, "kernel=4"), ({"patch": (4, 20)}, "patch")])
def test_sizes_that_do_not_fit_are_named(settings, key):
    with pytest.raises(ConfigError, match=key):
        make_aligner(**settings)
