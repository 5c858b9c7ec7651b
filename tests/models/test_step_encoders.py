"""Encoders with one vector a step: SimpleConv, EEGNet, and one that a user registers, alone and inside an aligner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.checkpoints.parts import read_part
from eeg2speech.core.errors import ConfigError
from eeg2speech.models import Aligner, EEGNet, SimpleConv, SpectrogramViT, StepEncoder, register
from eeg2speech.models.eeg.simpleconv import SpatialAttention, unit_square
from eeg2speech.models.rebuild import rebuild_aligner
from tests.models.networks import first_channels, make_batch

CHANNELS = 12
SUBJECT = torch.tensor([0, 2, -1])


@register
class LinearStep(StepEncoder):
    """A linear map of the samples of a step of all electrodes."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.config, self.width = {"width": width}, width

    def build(self, channels: int) -> None:
        self.channels, self.map = channels, nn.Linear(channels * self.samples, self.width)

    def forward(
        self,
        eeg: Tensor,
        positions: Tensor | None,
        channel_mask: Tensor | None,
        subject_layer: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        eeg = eeg if channel_mask is None else eeg.masked_fill(~channel_mask[..., None], 0)
        eeg = F.pad(eeg, (0, 0, 0, self.channels - eeg.shape[1]))
        out: Tensor = self.map(rearrange(eeg, "b c (l t) -> b l (c t)", t=self.samples))
        return out


MAKERS = {
    "SimpleConv": lambda: SimpleConv(spatial=8, frequencies=3, hidden=6, spatial_dropout=0.0),
    "EEGNet": lambda: EEGNet(filters=3, depth=2, separable=7, dropout=0.0),
    "LinearStep": lambda: LinearStep(),
}
each_encoder = pytest.mark.parametrize("name", MAKERS)


def make(name: str, seed: int = 0) -> StepEncoder:
    torch.manual_seed(seed)
    encoder = MAKERS[name]()
    encoder.build(CHANNELS)
    return encoder


def make_aligner(name: str, **settings: object) -> Aligner:
    encoder = make(name)
    audio = SpectrogramViT(trainable=True, width=16, depth=1, heads=2)
    aligner = Aligner(encoder, audio, 4, CHANNELS, features=8, **settings)
    if aligner.subject_layer is not None:
        aligner.subject_layer.mark_trained([0, 1, 2])
        with torch.no_grad():
            aligner.subject_layer.change.normal_(std=0.5)
    return aligner


@each_encoder
def test_there_is_one_vector_a_step_whatever_the_batch(name: str):
    encoder = make(name).eval()
    eeg, positions = make_batch(channels=CHANNELS)
    steps = encoder(eeg, positions, None)
    assert steps.shape == (3, 5, encoder.width)
    torch.testing.assert_close(encoder(eeg[:1], positions[:1], None), steps[:1], atol=1e-5, rtol=1e-4)
    assert torch.equal(make(name).eval()(eeg, positions, None), steps)
    assert not torch.allclose(make(name, seed=1).eval()(eeg, positions, None), steps)


@each_encoder
def test_gradient_reaches_every_parameter_of_the_encoder(name: str):
    encoder = make(name).train()
    eeg, positions = make_batch(channels=CHANNELS)
    steps = encoder(eeg, positions, first_channels(3, CHANNELS, [12, 8, 0]))
    (steps * torch.randn_like(steps)).sum().backward()
    before_norm = {  # a batch norm subtracts the mean, and with it their constant
        f"blocks.{block}.convolutions.{index}.bias" for block in range(5) for index in range(2)
    }
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 1e-9 or parameter_name in before_norm, parameter_name


@each_encoder
def test_absent_channels_change_nothing_whatever_they_hold(name: str):
    encoder = make(name).eval()
    eeg, positions = make_batch(channels=CHANNELS)
    counts = [12, 8, 5]
    mask = first_channels(3, CHANNELS, counts)
    expected = encoder(eeg, positions, mask)
    for filling in (0.0, 1e4, float("nan")):
        filled, elsewhere = torch.where(mask[..., None], eeg, filling), torch.where(mask[..., None], positions, 0.0)
        assert torch.equal(encoder(filled, elsewhere, mask), expected)
    for window, count in enumerate(counts):
        alone = encoder(eeg[window : window + 1, :count], positions[window : window + 1, :count], None)
        torch.testing.assert_close(alone, expected[window : window + 1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("present", [4, 8, 11])
def test_simpleconv_gives_the_same_bits_with_a_padded_channel(present: int):
    encoder = make("SimpleConv").eval()
    eeg, positions = make_batch(channels=present)
    mask = first_channels(3, present + 1, [present] * 3)
    padded = encoder(F.pad(eeg, (0, 0, 0, 1)), F.pad(positions, (0, 0, 0, 1)), mask)
    assert torch.equal(padded, encoder(eeg, positions, None))


def test_simpleconv_does_not_depend_on_the_order_of_the_electrodes():
    encoder, order = make("SimpleConv").eval(), torch.randperm(CHANNELS)
    eeg, positions = make_batch(channels=CHANNELS)
    expected = encoder(eeg, positions, None)
    torch.testing.assert_close(encoder(eeg[:, order], positions[:, order], None), expected, atol=1e-5, rtol=1e-4)


@each_encoder
@pytest.mark.parametrize("training", [True, False])
def test_a_window_without_any_channel_gives_no_nan(name: str, training: bool):
    encoder = make(name).train(training)
    eeg, positions = make_batch(channels=CHANNELS)
    steps = encoder(eeg, positions, first_channels(3, CHANNELS, [12, 0, 5]))
    steps.square().sum().backward()
    assert steps.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@each_encoder
def test_half_precision_is_close(name: str):
    encoder = make(name).eval()
    eeg, positions = make_batch(channels=CHANNELS)
    expected = encoder(eeg, positions, None)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encoder(eeg, positions, None)
    assert (rounded.float() - expected).norm() < 0.05 * expected.norm()
    assert encoder.to(torch.bfloat16)(eeg.bfloat16(), positions.bfloat16(), None).isfinite().all()


def test_the_vertex_is_the_middle_of_the_square_and_ears_are_at_its_sides():
    head = 0.09 * torch.tensor([[0.0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, 1, 0]]) + torch.tensor([0, 0, 0.04])
    middle, right, left, front = unit_square(head[None])[0]
    torch.testing.assert_close(middle, torch.tensor([0.5, 0.5]))
    assert right[0] > 0.75
    torch.testing.assert_close(right + left, torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(front - 0.5, (right - 0.5).flip(0))


def test_attention_weights_sum_to_one_over_the_electrodes_that_exist():
    attention = SpatialAttention(outputs=4, frequencies=3, dropout=0.2).eval()
    _, positions = make_batch(channels=CHANNELS)
    eeg = torch.ones(3, CHANNELS, 2) * first_channels(3, CHANNELS, [12, 8, 0])[..., None]
    means = attention(eeg, positions, first_channels(3, CHANNELS, [12, 8, 0]))
    torch.testing.assert_close(means, torch.tensor([1.0, 1.0, 0.0])[:, None, None].expand(3, 4, 2))


def test_spatial_dropout_leaves_out_a_disc_that_the_seed_decides():
    attention = SpatialAttention(outputs=4, frequencies=3, dropout=0.3)
    _, positions = make_batch(channels=CHANNELS)
    each = torch.eye(CHANNELS).expand(3, -1, -1)  # the output shows the weight of every electrode
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(attention(each, positions, None))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.manual_seed(0)
    out = (unit_square(positions) - torch.rand(2)).norm(dim=-1) <= 0.3
    assert out.any()
    assert torch.equal(weights[0].eq(0).all(1), out)


def test_dilations_are_those_of_the_paper():
    dilations = [[conv.dilation[0] for conv in block.convolutions] for block in make("SimpleConv").blocks]
    assert dilations == [[1, 2], [4, 8], [16, 1], [2, 4], [8, 16]]


def test_the_spatial_filters_of_eegnet_have_a_norm_of_at_most_1():
    encoder = make("EEGNet").eval()
    eeg, positions = make_batch(channels=CHANNELS)
    with torch.no_grad():
        encoder.spatial.mul_(3 / encoder.spatial.flatten(1).norm(dim=1)[:, None, None, None])
        long = encoder(eeg, positions, None)
        encoder.spatial.div_(3)
        torch.testing.assert_close(encoder(eeg, positions, None), long)
        encoder.spatial.div_(2)  # shorter filters stay as they are
        assert not torch.allclose(encoder(eeg, positions, None), long, atol=1e-3)


@torch.no_grad()
@each_encoder
@pytest.mark.parametrize("subject_layer", [True, False])
def test_an_aligner_embeds_and_is_the_same_after_export(name: str, subject_layer: bool, tmp_path: Path):
    aligner = make_aligner(name, subject_layer=subject_layer, whitening=True, spectral_flattening=True)
    aligner.requires_grad_(False).eval()
    eeg, positions = make_batch(channels=CHANNELS)
    vectors = aligner.embed_eeg(eeg, positions, None, SUBJECT)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    described = json.loads(json.dumps(aligner.description))
    write_export(tmp_path / "aligner", {"aligner": Part(described, aligner.state_dict())}, {}, {})
    described, weights, _ = read_part(tmp_path / "aligner", "aligner")
    again = rebuild_aligner(described, weights, "here")
    assert type(again.encoder).__name__ == name
    assert torch.equal(again.embed_eeg(eeg, positions, None, SUBJECT), vectors)


@each_encoder
def test_unseen_subjects_get_the_mean_map_and_others_their_own(name: str):
    aligner = make_aligner(name).eval()
    layer = aligner.subject_layer
    assert layer is not None
    inner = aligner.encoder.subject_channels
    assert layer.change.shape[1] == (CHANNELS if inner is None else inner)
    eeg, positions = make_batch(channels=CHANNELS)
    unseen = aligner.embed_eeg(eeg, positions, None, torch.tensor([-1, -1, -1]))
    assert not torch.allclose(aligner.embed_eeg(eeg, positions, None, torch.tensor([0, 1, 2])), unseen, atol=1e-4)
    with torch.no_grad():
        layer.change[:3] = layer.change[:3].mean(0)
    torch.testing.assert_close(aligner.embed_eeg(eeg, positions, None, torch.tensor([0, 1, 2])), unseen)


@each_encoder
def test_gradient_reaches_the_eeg_side_of_an_aligner(name: str):
    aligner = make_aligner(name, matched_filters=2).train()
    eeg, positions = make_batch(channels=CHANNELS)
    (aligner.embed_eeg(eeg, positions, None, SUBJECT) * torch.randn(3, 5 * (8 + 16))).sum().backward()
    assert aligner.subject_layer.change.grad[[0, 2]].abs().amax((1, 2)).min() > 0
    of_sound = ("audio.", "sound_head.", "linear.")
    missing = [n for n, p in aligner.named_parameters() if p.grad is None and not n.startswith(of_sound)]
    assert not missing


def test_any_montage_depends_on_the_encoder_and_on_what_mixes_electrodes():
    assert make_aligner("SimpleConv").any_montage
    assert not make_aligner("SimpleConv", whitening=True).any_montage
    assert not make_aligner("SimpleConv", matched_filters=2).any_montage
    assert not make_aligner("EEGNet", subject_layer=False).any_montage


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SimpleConv(kernel=4), "kernel=4 must be above 0, and the kernel odd"),
        (lambda: SimpleConv(spatial_dropout=1.0), "spatial_dropout=1.0 is not in"),
        (lambda: EEGNet(kernel=50), "kernel=50 and separable_kernel=13 odd"),
        (lambda: EEGNet(dropout=-0.1), "dropout=-0.1 is not in"),
    ],
)
def test_sizes_out_of_range_are_refused(build: Callable[[], object], message: str):
    with pytest.raises(ConfigError, match=message):
        build()


def test_input_of_other_sizes_is_refused():
    eeg, positions = make_batch(channels=CHANNELS)
    with pytest.raises(ValueError, match="positions None do not go with EEG"):
        make("SimpleConv")(eeg, None, None)
    for built in (0, 11):
        encoder = EEGNet()
        if built:
            encoder.build(built)
        with pytest.raises(ValueError, match=f"EEG of 12 channels does not fit an EEGNet that was built for {built}"):
            encoder(eeg, positions, None)


def test_a_step_of_another_length_is_refused():
    encoder = make("LinearStep")
    encoder.samples = 20
    with pytest.raises(ConfigError, match=r"samples=20: a step of EEG is 20 samples .*model\.encoder\.samples"):
        Aligner(encoder, SpectrogramViT(width=16, depth=1, heads=2), 4, CHANNELS)
