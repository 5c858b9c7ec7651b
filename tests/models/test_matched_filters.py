"""Spectral flattening, and matched filters on EEG with a known response."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from eeg2speech.core.errors import ConfigError
from eeg2speech.models import SpectrogramViT, ViTEncoder
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.eeg.flattening import SpectralFlattening
from eeg2speech.models.eeg.matched_filter_fit import fit_matched_filters, kernel_of, matched_filter
from eeg2speech.models.eeg.matched_filters import LAGS, SPECTRUM, MatchedFilters

C, SUBJECTS, WINDOWS = 6, 3, 40


def spectrum(eeg: Tensor) -> Tensor:
    return torch.fft.rfft(eeg.double()).abs().square().mean((0, 1))


def test_a_falling_spectrum_becomes_flat_at_the_same_level():
    generator = torch.Generator().manual_seed(0)
    eeg = torch.randn(40, C, 3200, generator=generator).cumsum(-1)
    eeg = eeg - F.avg_pool1d(eeg, 201, 1, 100, count_include_pad=False)
    layer = SpectralFlattening()
    torch.testing.assert_close(layer(eeg), eeg)  # before the fit
    layer.fit(spectrum(eeg[..., :320]))
    before, after = spectrum(eeg), spectrum(layer(eeg))
    frequency = torch.linspace(0, 50, len(before))
    low, high = (frequency > 2) & (frequency < 4), (frequency > 15) & (frequency < 20)
    assert before[low].mean() / before[high].mean() > 20
    assert after[low].mean() / after[high].mean() < 3
    assert 0.3 < after.mean() / before.mean() < 3


def test_a_matched_filter_has_the_largest_signal_to_noise_ratio():
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(3, C, C, dtype=torch.complex128, generator=generator)
    noise = root @ root.mH + C * torch.eye(C)
    topography = torch.randn(C, dtype=torch.float64, generator=generator)
    weights, gain = matched_filter(noise, topography)
    # y = sum of weights * x: noise of variance 1, and the response at the gain
    after = torch.einsum("cf,fcd,df->f", weights, noise, weights.conj()).real
    torch.testing.assert_close(after[1:], torch.ones(2, dtype=torch.float64), rtol=0.05, atol=0)
    torch.testing.assert_close((weights.T @ topography.to(weights))[1:].abs(), gain[1:], rtol=1e-6, atol=0)
    for _ in range(100):
        other = torch.randn(C, 3, dtype=torch.complex128, generator=generator)
        power = torch.einsum("cf,fcd,df->f", other, noise, other.conj()).real
        assert ((other.T @ topography.to(other)).abs().square() / power <= gain.square() * 1.05)[1:].all()
    assert gain[0] == 0


def test_a_kernel_has_its_frequency_response():
    flat = kernel_of(torch.ones(SPECTRUM // 2 + 1, dtype=torch.complex128))
    expected = torch.zeros(SPECTRUM + 1, dtype=torch.float64)
    expected[SPECTRUM // 2] = 1
    torch.testing.assert_close(flat, expected)
    later = torch.exp(-2j * torch.pi * 5 * torch.arange(SPECTRUM // 2 + 1) / SPECTRUM)
    assert kernel_of(later.to(torch.complex128)).argmax() == SPECTRUM // 2 + 5


class World:
    """Windows of EEG at 100 Hz whose subjects respond 100 ms after a sound with topographies of their own."""

    def __init__(self, gain: float) -> None:
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        loudness = torch.rand(3 * WINDOWS, 32, generator=generator).repeat_interleave(1600, dim=1)
        self.audio = 0.1 * normal(3 * WINDOWS, 51_200) * loudness
        envelope = F.avg_pool1d(self.audio.abs(), 160)
        envelope = envelope / envelope.std()
        response = F.pad(envelope - envelope.mean(), (10, 0))[:, :320]
        self.topographies = normal(1, C) + normal(SUBJECTS, C)
        mixing = torch.eye(C) + 0.2 * normal(C, C)
        noise = torch.einsum("cd,sndt->snct", mixing, normal(SUBJECTS, 3 * WINDOWS, C, 320).cumsum(-1))
        noise = noise - F.avg_pool1d(noise.flatten(0, 2)[:, None], 101, 1, 50, count_include_pad=False).view_as(noise)
        noise = noise / noise.std()
        self.eeg = noise + gain * self.topographies[:, None, :, None] * response[None, :, None]

    def train(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for subject in range(SUBJECTS):
            for first in range(0, WINDOWS, 10):
                block = slice(first, first + 10)
                yield self.eeg[subject, block], self.audio[block], torch.full((10,), subject)

    def held_out(self, subject: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.eeg[subject, 2 * WINDOWS :], self.audio[2 * WINDOWS :], torch.full((WINDOWS,), subject)

    def validation(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Windows of other sounds than those of ``held_out``."""
        for subject in range(SUBJECTS):
            yield (
                self.eeg[subject, WINDOWS : 2 * WINDOWS],
                self.audio[WINDOWS : 2 * WINDOWS],
                torch.full((WINDOWS,), subject),
            )


@pytest.fixture(scope="module")
def world() -> World:
    return World(0.03)


@pytest.fixture(scope="module")
def filters(world: World) -> MatchedFilters:
    filters = MatchedFilters(SUBJECTS + 1, C, 2)
    assert fit_matched_filters(filters, world.train(), world.validation()) is not None
    return filters


@torch.no_grad()
def found(filters: MatchedFilters, eeg: Tensor, audio: Tensor, subject: Tensor) -> float:
    """Share of windows whose sound is the most similar of all."""
    nothing = torch.zeros(len(eeg), 20, 0)
    vectors = filters.join(nothing, filters.eeg_steps(eeg, subject)), filters.join(nothing, filters.sound_steps(audio))
    similarity = vectors[0] @ vectors[1].T
    return (similarity.argmax(1) == torch.arange(len(eeg))).float().mean().item()


def test_held_out_sounds_are_found_in_the_eeg_of_each_subject(world: World, filters: MatchedFilters):
    for subject in range(SUBJECTS):
        assert found(filters, *world.held_out(subject)) > 0.6
    assert filters.fitted.tolist() == [True, True, True, False, True]


def test_subjects_without_a_fit_are_found_worse_but_above_chance(world: World, filters: MatchedFilters):
    own, unseen = [], []
    for subject in range(SUBJECTS):
        eeg, audio, index = world.held_out(subject)
        own.append(found(filters, eeg, audio, index))
        unseen.append(found(filters, eeg, audio, torch.full_like(index, -1)))
        assert unseen[-1] == found(filters, eeg, audio, torch.full_like(index, SUBJECTS))  # an index without a fit
    assert 5 / WINDOWS < sum(unseen) / SUBJECTS < sum(own) / SUBJECTS


@pytest.mark.parametrize(("gain", "shuffle"), [(0.0, False), (0.03, True), (1.0, True)])
def test_nothing_is_compared_without_a_response_or_its_pairs(gain: float, shuffle: bool):
    world = World(gain)
    filters = MatchedFilters(SUBJECTS + 1, C, 2)
    assert fit_matched_filters(filters, world.train(), world.validation(), shuffle) is None
    eeg, audio, subject = world.held_out(0)
    assert not filters.eeg_steps(eeg, subject).any()
    network = F.normalize(torch.randn(WINDOWS, 20, 3).flatten(1), dim=1).view(WINDOWS, 20, 3)
    similarity = (
        filters.join(network, filters.eeg_steps(eeg, subject)) @ filters.join(network, filters.sound_steps(audio)).T
    )
    torch.testing.assert_close(similarity, network.flatten(1) @ network.flatten(1).T)


def test_a_subject_with_little_data_does_not_matter_to_the_others(world: World, filters: MatchedFilters):
    def train() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for eeg, audio, subject in world.train():
            yield (eeg, audio, subject) if subject[0] < 2 else (eeg[:1], audio[:1], subject[:1])

    fewer = MatchedFilters(SUBJECTS + 1, C, 2)
    assert fit_matched_filters(fewer, train(), world.validation()) is not None
    assert fewer.fitted.tolist() == [True, True, False, False, True]
    for subject in range(2):
        assert found(fewer, *world.held_out(subject)) > found(filters, *world.held_out(subject)) - 0.15
    without = MatchedFilters(SUBJECTS + 1, C, 2)
    assert (
        fit_matched_filters(without, (batch for batch in world.train() if batch[2][0] < 2), world.validation())
        is not None
    )
    kernels = fewer.filters[-1].flatten(), without.filters[-1].flatten()
    assert F.cosine_similarity(*kernels, dim=0) > 0.95


def test_few_validation_windows_show_no_response(world: World):
    filters = MatchedFilters(SUBJECTS + 1, C, 2)
    eeg, audio, subject = next(world.validation())
    assert fit_matched_filters(filters, world.train(), [(eeg[:19], audio[:19], subject[:19])]) is None


def test_a_window_of_silence_leaves_the_weight_to_the_network(world: World, filters: MatchedFilters):
    eeg, _, subject = world.held_out(0)
    network = F.normalize(torch.ones(WINDOWS, 20, 3).flatten(1), dim=1).view(WINDOWS, 20, 3)
    for one in (eeg, torch.zeros_like(eeg)):
        vectors = filters.join(network, filters.eeg_steps(one, subject))
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(WINDOWS))


def test_eeg_is_convolved_with_the_filter_of_each_channel():
    filters = MatchedFilters(1, 2, 1)
    filters.filters.normal_()
    eeg = torch.randn(1, 2, 160)
    course, row = filters.filtered(eeg, torch.tensor([0]))
    assert row.tolist() == [1]  # nothing is fitted
    expected = sum(np.convolve(eeg[0, c], filters.filters[1, c], "same") for c in range(2))
    np.testing.assert_allclose(course[0], expected, rtol=1e-3, atol=1e-3)


def test_fewer_channels_are_those_that_exist(world: World, filters: MatchedFilters):
    eeg, _, subject = world.held_out(1)
    silent = eeg.clone()
    silent[:, 4:] = 0
    torch.testing.assert_close(filters.eeg_steps(eeg[:, :4], subject), filters.eeg_steps(silent, subject))


def test_a_sound_predicts_its_response_by_convolution(filters: MatchedFilters, world: World):
    features = filters.standardised(filters.speech(world.audio[:2]))
    steps = filters.sound_steps(world.audio[:2])
    t = 100
    for component in range(2):
        expected = sum(
            features[0, :, t - lag] @ filters.sound[component, :, lag + SPECTRUM // 2]
            for lag in range(-SPECTRUM // 2, LAGS + SPECTRUM // 2)
            if 0 <= t - lag < features.shape[-1]
        )
        torch.testing.assert_close(steps[0].view(20, 2, 8)[t // 8, component, t % 8], expected, rtol=1e-3, atol=1e-4)


def aligner(**settings: object) -> Aligner:
    encoder = ViTEncoder(patch=(4, 16), width=32, depth=1, heads=4, mlp_ratio=2.0, position="sincos2d")
    return Aligner(encoder, SpectrogramViT(trainable=True, width=32, depth=1, heads=4), 3, 8, **settings)


def test_an_aligner_with_both_is_rebuilt_from_its_description():
    torch.manual_seed(0)
    first = aligner(spectral_flattening=True, matched_filters=4)
    for name in ("filters", "mixing", "sound"):
        getattr(first.matched, name).normal_()
    again = aligner(**{k: first.config[k] for k in ("spectral_flattening", "matched_filters")})
    again.load_state_dict(first.state_dict())
    eeg, audio, subject = torch.randn(2, 8, 320), 0.1 * torch.randn(2, 51_200), torch.tensor([-1, -1])
    vectors = [one.embed_eeg(eeg, None, None, subject) for one in (first.eval(), again.eval())]
    torch.testing.assert_close(*vectors)
    torch.testing.assert_close(vectors[0].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(first.embed_sound(audio).norm(dim=1), torch.ones(2))
    assert not first.any_montage


@torch.no_grad()
def test_the_similarity_is_a_weighted_mean_of_its_two_kinds():
    torch.manual_seed(0)
    model = aligner(matched_filters=4).eval()
    assert model.split_vectors(torch.randn(2, 20 * model.step_features)) == {}  # filters without a response
    for name in ("filters", "mixing", "sound"):
        getattr(model.matched, name).normal_()
    eeg = model.embed_eeg(torch.randn(3, 8, 320), None, None, torch.tensor([-1, -1, -1]))
    sound = model.embed_sound(0.1 * torch.randn(3, 51_200))
    kinds = {
        name: (vectors * model.split_vectors(sound)[name]).sum(1) for name, vectors in model.split_vectors(eeg).items()
    }
    share = model.matched.share.sigmoid()
    expected = (1 - share) * kinds["network"] + share * kinds["matched_filters"]
    torch.testing.assert_close((eeg * sound).sum(1), expected)
    assert kinds["network"].abs().max() > 0 < kinds["matched_filters"].abs().max()


@pytest.mark.parametrize("settings", [{"similarity": "pooled"}])
def test_matched_filters_without_steps_to_compare_are_refused(settings: dict[str, str]):
    with pytest.raises(ConfigError, match="matched_filters=4 needs target=joint"):
        aligner(matched_filters=4, **settings)
