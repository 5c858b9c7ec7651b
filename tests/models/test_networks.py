"""What every network has to do, whatever it is."""

from __future__ import annotations

import copy
import inspect
from itertools import product

import pytest
import torch
from networks import DECODERS, first_channels, make_autoencoder, make_batch, make_encoder

from eeg2speech import models
from eeg2speech.core.errors import ConfigError

POSITIONS = ("electrode", "sincos2d")
NETWORKS = {f"ViTEncoder-{position}": (None, position) for position in POSITIONS} | {
    f"{DECODERS[decoder].__name__}-{position}": (decoder, position)
    for decoder, position in product(DECODERS, POSITIONS)
}
"""Decoder (None for the encoder alone) and position code by name; a decoder is tested inside its autoencoder."""
PATCHES = ((4, 16), (1, 16))
CHANNELS = {"whole": (8, None), "padded": (6, None), "masked": (8, [8, 3, 6]), "padded-masked": (10, [1, 10, 5])}
"""Channels of the batch, and how many of them each window has."""


def make(name, **settings):
    decoder, position = NETWORKS[name]
    if decoder is None:
        return make_encoder(position=position, **settings)
    return make_autoencoder(decoder, position=position, **settings)


def inputs(channels="whole", batch=3):
    count, counts = CHANNELS[channels]
    eeg, positions = make_batch(batch, count, 64)
    return eeg, positions, None if counts is None else first_channels(batch, count, counts[:batch])


def run(network, eeg, positions, mask):
    """Tokens of an encoder, predicted patches of an autoencoder."""
    if isinstance(network, models.MaskedAutoencoder):
        return network(eeg, positions, mask, 0.7, "random", list(range(len(eeg)))).prediction
    return network(eeg, positions, mask)


each_network = pytest.mark.parametrize("name", NETWORKS)
each_patch = pytest.mark.parametrize("patch", PATCHES, ids=str)
each_layout = pytest.mark.parametrize("channels", CHANNELS)


def test_the_table_is_complete():
    exported = (getattr(models, name) for name in models.__all__)
    modules = {thing for thing in exported if inspect.isclass(thing) and issubclass(thing, torch.nn.Module)}
    tabled = {type(module) for name in NETWORKS for module in make(name).modules()}
    # in test_audio_encoders and test_audio_cache
    of_sound = {models.AudioEncoder, models.AudioMAE, models.SpectrogramViT, models.CachedAudio}
    of_steps = {models.StepEncoder, models.SimpleConv, models.EEGNet}  # in test_step_encoders
    assert modules <= tabled | of_sound | of_steps | {models.Aligner}  # in test_aligner


@each_layout
@each_patch
@each_network
def test_shape_type_and_a_batch_of_one(name, patch, channels):
    network = make(name, patch=patch).eval()
    eeg, positions, mask = inputs(channels)
    groups = -(-eeg.shape[1] // patch[0])
    for batch in (3, 1):
        out = run(network, eeg[:batch], positions[:batch], None if mask is None else mask[:batch])
        assert out.dtype == torch.float32
        assert out.isfinite().all()
        if isinstance(network, models.ViTEncoder):
            assert out.shape == (batch, 4, groups, network.width)
        else:
            assert out.shape[0] == batch
            assert out.shape[2] == patch[0] * patch[1]
        if mask is None and not isinstance(network, models.ViTEncoder):
            assert out.shape[1] == groups * 4 - round(groups * 4 * (1 - 0.7))


@each_layout
@each_patch
@each_network
def test_gradient_reaches_every_parameter(name, patch, channels):
    network = make(name, patch=patch).train()
    run(network, *inputs(channels)).square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        if not parameter_name.endswith(("key.bias", "norm_keys.bias")):  # they add the same to all scores of a query
            assert parameter.grad.abs().max() > 1e-6, parameter_name


@each_network
def test_same_seed_same_output_and_another_seed_another(name):
    first, second = make(name, seed=1), make(name, seed=1)
    assert torch.equal(run(first.eval(), *inputs()), run(second.eval(), *inputs()))
    assert not torch.allclose(run(first, *inputs()), run(make(name, seed=2).eval(), *inputs()))


@each_network
def test_the_output_of_a_window_does_not_depend_on_its_batch(name):
    network = make(name).eval()
    eeg, positions, _ = inputs()
    together = run(network, eeg, positions, None)
    torch.testing.assert_close(run(network, eeg[:1], positions[:1], None), together[:1], atol=1e-5, rtol=1e-4)


@each_network
def test_wrong_sizes_raise(name):
    network = make(name)
    eeg, positions, _ = inputs()
    with pytest.raises(RuntimeError):  # 60 samples are no whole number of patches of 16
        run(network, eeg[..., :60], positions, None)
    with pytest.raises(ValueError, match="positions"):  # of other channels, even if they would broadcast
        run(network, eeg, positions[:, :4], None)


def test_electrode_codes_need_positions_and_sincos_codes_do_not():
    eeg, _, _ = inputs()
    with pytest.raises(ValueError, match="position=sincos2d"):
        make_encoder(position="electrode")(eeg)
    assert make_encoder(position="sincos2d")(eeg).isfinite().all()


@each_layout
@each_network
def test_bfloat16_autocast(name, channels):
    network = make(name).train()
    with torch.autocast("cpu", torch.bfloat16):
        out = run(network, *inputs(channels))
    assert out.isfinite().all()
    out.float().square().sum().backward()
    exact = run(copy.deepcopy(network), *inputs(channels))
    assert (out.float() - exact).norm() < 0.05 * exact.norm()


@each_network
def test_weights_in_bfloat16(name):
    network = make(name).to(torch.bfloat16).eval()
    eeg, positions, _ = inputs()
    assert run(network, eeg.bfloat16(), positions.bfloat16(), None).isfinite().all()


@pytest.mark.parametrize("channels", ["whole", "masked"])
def test_checkpointing_computes_twice_and_gives_the_same_gradients(channels):
    gradients = []
    for checkpointing in (False, True):
        network, calls = make_autoencoder("full", checkpointing=checkpointing).train(), []
        network.encoder.blocks.blocks[0].norm1.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        run(network, *inputs(channels)).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
        assert len(calls) == 1 + checkpointing
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.equal(plain, recomputed)


@pytest.mark.parametrize("decoder", DECODERS)
def test_compiling_keeps_outputs_and_the_names_of_weights(decoder):
    plain = make_autoencoder(decoder).eval()
    compiled = copy.deepcopy(plain)
    compiled.encoder.blocks.compile(backend="eager")
    compiled.decoder.compile(backend="eager")
    with torch.no_grad():
        assert torch.equal(run(compiled, *inputs()), run(plain, *inputs()))
    assert list(compiled.state_dict()) == list(plain.state_dict())


@each_layout
@pytest.mark.parametrize("position", POSITIONS)
def test_what_stands_in_masked_channels_does_not_matter(position, channels):
    network = make_encoder(position=position).eval()
    eeg, positions, mask = inputs(channels)
    if mask is None:
        mask = torch.ones(eeg.shape[:2], dtype=torch.bool)
        mask[:, 2] = False  # inside of a group that has other channels
    elsewhere = torch.where(mask[..., None], positions, 0.3)
    expected = network(eeg, positions, mask)
    for filling in (0.0, 1e4, float("nan")):
        filled = torch.where(mask[..., None], eeg, filling)
        assert torch.equal(network(filled, elsewhere, mask), expected)


@each_patch
@pytest.mark.parametrize("position", POSITIONS)
def test_a_ragged_batch_equals_its_windows_one_by_one(position, patch):
    network = make_encoder(position=position, patch=patch).eval()
    counts = [3, 12, 8]
    eeg, positions = make_batch(3, 12, 64)
    mask = first_channels(3, 12, counts)
    eeg, positions = eeg * mask[..., None], positions * mask[..., None]
    tokens = network(eeg, positions, mask)
    pooled = network.pool(tokens, mask)
    for window, count in enumerate(counts):
        alone = network(eeg[window : window + 1, :count], positions[window : window + 1, :count])
        groups = alone.shape[2]
        torch.testing.assert_close(tokens[window : window + 1, :, :groups], alone, atol=1e-5, rtol=1e-4)
        assert (tokens[window, :, groups:] == 0).all()
        torch.testing.assert_close(pooled[window : window + 1], network.pool(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decoder", [None, *DECODERS])
def test_a_window_without_any_channel_changes_nothing(decoder):
    network = make_encoder() if decoder is None else make_autoencoder(decoder)
    eeg, positions = make_batch(3, 8, 64)
    mask = first_channels(3, 8, [8, 0, 5])
    if decoder is None:
        tokens = network.eval()(eeg, positions, mask)
        assert tokens.isfinite().all()
        assert network.pool(tokens, mask).isfinite().all()
        return
    result = network.train()(eeg, positions, mask, 0.5)
    assert (result.weight[1] == 0).all()
    assert (result.weight[[0, 2]].sum((1, 2)) > 0).all()
    (result.prediction.square() * result.weight).sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 18, "heads": 4}, "width=18 is not a multiple of heads=4"),
        ({"width": 18, "heads": 2}, "and of 4"),
        ({"patch": (0, 16)}, r"patch=\[0, 16\] needs at least one electrode"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_encoder(**settings)


def test_the_encoder_is_rebuilt_from_its_config():
    encoder = make_encoder(patch=(2, 8), position="sincos2d", similarity_start=False)
    again = models.ViTEncoder(**encoder.config)
    assert again.config == encoder.config
    again.load_state_dict(encoder.state_dict())


def test_attention_starts_as_a_similarity():
    weight = make_encoder(width=16).blocks.blocks[0].attn.qkv.weight
    assert torch.equal(weight[:16], weight[16:32])
    weight = make_encoder(width=16, similarity_start=False).blocks.blocks[0].attn.qkv.weight
    assert not torch.equal(weight[:16], weight[16:32])
    block = make_autoencoder("cross").decoder.blocks[0]
    assert torch.equal(block.query.weight, block.key.weight)
