from __future__ import annotations

import pytest
import torch
from networks import DECODERS, KINDS, first_channels, hidden_samples, make_autoencoder, make_batch, make_encoder
from torch import nn

from eeg2speech.losses import masked_mse
from eeg2speech.models import MaskedAutoencoder
from eeg2speech.models.eeg.autoencoder import normalize_patches
from eeg2speech.models.eeg.decoders import gather_tokens
from eeg2speech.models.eeg.patches import patchify

COUNTS = [5, 12, 8]
each_decoder = pytest.mark.parametrize("decoder", DECODERS)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_layout = pytest.mark.parametrize("layout", ["whole", "padded", "ragged"])
SEEDS = [3, 1, 2]


def layout_batch(layout):
    eeg, positions = make_batch(3, 10 if layout == "padded" else 12, 80)
    mask = first_channels(3, 12, COUNTS) if layout == "ragged" else None
    if mask is not None:
        eeg, positions = eeg * mask[..., None], positions * mask[..., None]
    return eeg, positions, mask


class Oracle(nn.Module):
    """A decoder that knows the answer."""

    predicted = 1.0

    def __init__(self, eeg, patch):
        super().__init__()
        self.patches = patchify(eeg, patch).flatten(1, 2)

    def build(self, width, outputs):
        assert outputs == self.patches.shape[-1]

    def forward(self, encoded, embedded, masked):
        assert embedded.grid[0] * embedded.grid[1] == self.patches.shape[1] == embedded.codes.shape[1]
        return gather_tokens(self.patches, masked.hidden)


@each_layout
@each_kind
@pytest.mark.parametrize("position", ["electrode", "sincos2d"])
@each_decoder
def test_what_is_hidden_never_reaches_the_prediction(decoder, position, kind, layout):
    network = make_autoencoder(decoder, position=position).eval()
    eeg, positions, mask = layout_batch(layout)
    result = network(eeg, positions, mask, 0.7, kind, SEEDS)
    hidden = hidden_samples(result, (4, 16), eeg.shape)
    changed = torch.where(hidden, 100 * torch.randn(eeg.shape), eeg)
    again = network(changed, positions, mask, 0.7, kind, SEEDS)
    assert torch.equal(again.prediction, result.prediction)
    assert not torch.equal(again.target, result.target)


@each_layout
@each_kind
@each_decoder
def test_the_prediction_has_no_gradient_to_what_is_hidden(decoder, kind, layout):
    """In training, too, where masks come from the global generator; it does have one to all that is visible."""
    network = make_autoencoder(decoder).train()
    if decoder == "cross":
        network.decoder.predicted = 1.0  # the result then knows all that is hidden
    eeg, positions, mask = layout_batch(layout)
    eeg.requires_grad_()
    result = network(eeg, positions, mask, 0.5, kind)
    (result.prediction * torch.randn(result.prediction.shape) * result.weight).sum().backward()
    hidden = hidden_samples(result, (4, 16), eeg.shape)
    exists = torch.ones_like(hidden) if mask is None else mask[..., None].expand_as(hidden)
    assert (eeg.grad[hidden] == 0).all()
    if decoder != "local":  # which looks no further than its windows
        assert (eeg.grad[~hidden & exists] != 0).all()
    assert (eeg.grad[~hidden & exists] != 0).any()


@each_kind
@pytest.mark.parametrize("decoder", ["full", "cross"])
def test_a_ragged_batch_equals_its_windows_one_by_one(decoder, kind):
    network = make_autoencoder(decoder, normalize_target=True).eval()
    eeg, positions, mask = layout_batch("ragged")
    together = network(eeg, positions, mask, 0.7, kind, SEEDS)
    for window, count in enumerate(COUNTS):
        alone = network(
            eeg[window : window + 1, :count], positions[window : window + 1, :count], None, 0.7, kind, [SEEDS[window]]
        )
        real = together.masked.hidden_exists[window]
        assert torch.equal(together.masked.hidden[window, real], alone.masked.hidden[0])
        for name in ("prediction", "target", "weight"):
            both = getattr(together, name)[window, real], getattr(alone, name)[0]
            torch.testing.assert_close(*both, atol=1e-5, rtol=1e-4)
        assert (together.weight[window, ~real] == 0).all()


@each_decoder
def test_what_stands_in_masked_channels_does_not_matter(decoder):
    network = make_autoencoder(decoder).eval()
    eeg, positions, mask = layout_batch("ragged")
    clean = network(eeg, positions, mask, 0.7, "random", SEEDS)
    dirty = network(
        eeg.masked_fill(~mask[..., None], 50.0),
        positions.masked_fill(~mask[..., None], 0.3),
        mask,
        0.7,
        "random",
        SEEDS,
    )
    assert torch.equal(dirty.prediction, clean.prediction)
    assert torch.equal(dirty.target * dirty.weight, clean.target * clean.weight)


def test_training_predicts_a_share_and_validation_everything():
    network = make_autoencoder("cross")
    eeg, positions, _ = layout_batch("whole")
    torch.manual_seed(0)
    part = network.train()(eeg, positions, None, 0.8)
    torch.manual_seed(0)
    whole = network.eval()(eeg, positions, None, 0.8)
    assert part.prediction.shape == part.target.shape == part.weight.shape == (3, 6, 64)
    assert whole.prediction.shape == (3, 12, 64)
    assert torch.equal(part.target, whole.target[:, :6])
    torch.testing.assert_close(part.prediction, whole.prediction[:, :6])


@each_layout
def test_targets_are_the_hidden_patches_and_weights_the_electrodes_that_exist(layout):
    network = make_autoencoder().eval()
    eeg, positions, mask = layout_batch(layout)
    result = network(eeg, positions, mask, 0.6, "random", SEEDS)
    exists = torch.ones(eeg.shape[:2], dtype=torch.bool) if mask is None else mask
    for window, indices in enumerate(result.masked.hidden.tolist()):
        for place, index in enumerate(indices):
            group, step = divmod(index, 5)
            for electrode in range(4):
                channel, part = group * 4 + electrode, slice(16 * electrode, 16 * electrode + 16)
                real = channel < eeg.shape[1] and bool(exists[window, channel])
                if result.masked.hidden_exists is not None:
                    real = real and bool(result.masked.hidden_exists[window, place])
                assert (result.weight[window, place, part] == float(real)).all()
                if real:
                    wanted = eeg[window, channel, 16 * step : 16 * step + 16]
                    assert torch.equal(result.target[window, place, part], wanted)


@each_layout
@each_decoder
def test_predictions_follow_the_gain_of_what_is_visible(decoder, layout):
    network = make_autoencoder(decoder).eval()
    eeg, positions, mask = layout_batch(layout)
    with torch.no_grad():
        one, loud = (network(factor * eeg, positions, mask, 0.6, "random", SEEDS) for factor in (1, 8))
        tokens = [network.encoder(factor * eeg, positions, mask) for factor in (1, 8)]
    torch.testing.assert_close(loud.prediction, 8 * one.prediction)
    torch.testing.assert_close(*tokens)


@each_layout
@each_kind
def test_an_oracle_paints_the_eeg_itself(kind, layout):
    eeg, positions, mask = layout_batch(layout)
    network = MaskedAutoencoder(make_encoder(gain_free=False), Oracle(eeg, (4, 16))).eval()
    result = network(eeg, positions, mask, 0.6, kind, SEEDS)
    painted, where = network.paint(eeg, result)
    assert torch.equal(painted, eeg)
    exists = torch.ones_like(where) if mask is None else mask[..., None].expand_as(where)
    assert where.dtype == torch.bool
    assert torch.equal(where, hidden_samples(result, (4, 16), eeg.shape) & exists)


@each_layout
@each_decoder
def test_painting_leaves_what_is_visible_and_replaces_what_is_hidden(decoder, layout):
    network = make_autoencoder(decoder).eval()
    eeg, positions, mask = layout_batch(layout)
    before = eeg.clone()
    with torch.no_grad():
        result = network(eeg, positions, mask, 0.6, "random", SEEDS)
    painted, where = network.paint(eeg, result)
    assert torch.equal(eeg, before)
    assert torch.equal(painted[~where], eeg[~where])
    assert (painted[where] != eeg[where]).all()
    assert where.sum() == result.weight.sum()
    index = int(result.masked.hidden[1, 0])
    group, step = divmod(index, 5)
    predicted = result.prediction[1, 0].view(4, 16)[: eeg.shape[1] - 4 * group]
    assert torch.equal(painted[1, 4 * group : 4 * group + 4, 16 * step : 16 * step + 16], predicted)


def test_painting_from_bfloat16_predictions():
    network = make_autoencoder().eval()
    eeg, positions, _ = layout_batch("whole")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        result = network(eeg, positions, None, 0.6, "random", SEEDS)
        painted, where = network.paint(eeg, result)
    assert painted.dtype == eeg.dtype
    assert torch.equal(painted[~where], eeg[~where])


def test_normalized_patches_have_mean_zero_and_variance_one():
    patches = 5 + 3 * torch.randn(2, 7, 64)
    weight = torch.ones_like(patches)
    weight[0, :, 48:] = 0  # an electrode that does not exist
    weight[1, 6] = 0
    patches[weight == 0] = 1e6
    made = normalize_patches(patches, weight)
    assert (made[weight == 0] == 0).all()
    for window in range(2):
        for patch in range(7):
            samples = made[window, patch][weight[window, patch] > 0]
            if len(samples):
                assert samples.mean().abs() < 1e-5
                assert samples.var(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_a_constant_patch_is_normalized_to_zero():
    made = normalize_patches(torch.full((1, 1, 8), 3.0), torch.ones(1, 1, 8))
    assert torch.equal(made, torch.zeros(1, 1, 8))


def test_normalized_targets_do_not_depend_on_the_level_of_a_patch():
    plain, normal = make_autoencoder(), make_autoencoder(normalize_target=True)
    eeg, positions, _ = layout_batch("padded")
    raw = plain.eval()(eeg, positions, None, 0.6, "random", SEEDS)
    scaled = normal.eval()(4 * eeg + 2, positions, None, 0.6, "random", SEEDS)
    expected = normalize_patches(raw.target, raw.weight)
    torch.testing.assert_close(scaled.target, expected, atol=1e-4, rtol=1e-3)


@each_decoder
def test_an_autoencoder_learns_to_fill_in_what_can_be_filled_in(decoder):
    """Every electrode shows the same slow wave: what is hidden follows from what is visible."""
    network = make_autoencoder(decoder).train()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    time = torch.arange(80) / 100
    positions = make_batch(1, 8, 80)[1].expand(32, -1, -1)
    errors = []
    torch.manual_seed(0)
    for _ in range(150):
        phase = 2 * torch.pi * torch.rand(32, 1, 1)
        eeg = (2 * torch.pi * 2.5 * time + phase).sin().expand(-1, 8, -1)
        result = network(eeg, positions, None, 0.5)
        loss = masked_mse(result.prediction, result.target, result.weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item() / result.target.var().item())
    assert sum(errors[-10:]) / 10 < 0.85  # 1 is predicting the mean
