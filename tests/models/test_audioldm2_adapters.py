from __future__ import annotations

import sys

import pytest
import torch
from audioldm2_tiny import LOA, TEXT, tiny_unet
from diffusers import AudioLDM2UNet2DConditionModel

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.audioldm2.unet import choose_trainable, widen_input
from eeg2speech.models.lora import merge_adapters

LAYOUTS = pytest.mark.parametrize("layout", ["speech", "general"])


def seeded(layout="speech"):
    torch.manual_seed(0)
    return tiny_unet(layout)


def run(unet, extra=None):
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 8, 8, 16, generator=draw)
    streams = {"encoder_hidden_states": torch.randn(2, 6, LOA, generator=draw)}
    if len(unet.config.cross_attention_dim[0]) == 3:
        streams["encoder_hidden_states_1"] = torch.randn(2, 1, TEXT, generator=draw)
    if extra is not None:
        latents = torch.cat([latents, extra], dim=1)
    return unet(latents, torch.tensor([3, 800]), **streams).sample


def trained(unet):
    return {name: value for name, value in unet.named_parameters() if value.requires_grad}


def train(unet, steps=3):
    optimizer = torch.optim.Adam(trained(unet).values(), 0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        run(unet).square().mean().backward()
        optimizer.step()


@LAYOUTS
def test_adapters_start_as_nothing_and_merge_into_a_plain_unet(layout, tmp_path):
    unet = seeded(layout)
    plain = {name: value.clone() for name, value in unet.state_dict().items()}
    with torch.no_grad():
        before = run(unet)
        choose_trainable(unet, "lora", rank=4)
        assert torch.equal(run(unet), before)
    train(unet)
    with torch.no_grad():
        after = run(unet)
    assert (after - before).abs().max() > 1e-2

    merge_adapters(unet)
    with torch.no_grad():
        merged = run(unet)
    torch.testing.assert_close(merged, after, rtol=0, atol=1e-5)
    assert unet.state_dict().keys() == plain.keys()
    assert not hasattr(unet, "peft_config")
    changed = {name for name, value in unet.state_dict().items() if not torch.equal(value, plain[name])}
    assert changed
    assert all(".attn1.to_" in name or ".attn2.to_" in name for name in changed)

    unet.save_pretrained(tmp_path)
    again, info = AudioLDM2UNet2DConditionModel.from_pretrained(
        tmp_path, output_loading_info=True, low_cpu_mem_usage=False
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(run(again), merged)


@LAYOUTS
def test_every_attention_gets_adapters_that_learn(layout):
    unet = seeded(layout)
    attentions = [name for name, _ in unet.named_modules() if name.endswith((".attn1", ".attn2"))]
    weights = {name for name, _ in unet.named_parameters()}
    choose_trainable(unet, "lora", rank=2)
    adapters = trained(unet)
    assert len(adapters) == len(attentions) * 4 * 2
    assert all(".lora_" in name for name in adapters)
    assert {name.replace(".base_layer", "") for name, _ in unet.named_parameters() if ".lora_" not in name} == weights
    train(unet, steps=2)
    still = [name for name, value in adapters.items() if value.grad is None or not value.grad.any()]
    assert not still


@LAYOUTS
def test_cross_trains_the_attention_to_the_first_stream_only(layout):
    unet = seeded(layout)
    keys = {n: v for n, v in unet.named_parameters() if n.endswith(".attn2.to_k.weight")}
    choose_trainable(unet, "cross")
    names = trained(unet)
    assert all(".attn2.to_" in name for name in names)
    chosen = [keys[name] for name in names if name in keys]
    # one place down, one in the middle, two up: each has one attention to this stream
    assert [key.shape[1] for key in chosen] == [LOA] * 4
    assert sum(key.shape[1] == LOA for key in keys.values()) == 4
    run(unet).square().mean().backward()
    assert all(value.grad is not None and value.grad.any() for value in names.values())


def test_all_or_none():
    unet = seeded()
    choose_trainable(unet, "none")
    assert not trained(unet)
    choose_trainable(unet, "all")
    assert all(value.requires_grad for value in unet.parameters())


def test_merging_without_adapters_changes_nothing():
    unet = seeded()
    before = unet.state_dict()
    merge_adapters(unet)
    assert unet.state_dict().keys() == before.keys()


def test_adapters_need_peft_and_a_rank(monkeypatch):
    with pytest.raises(ConfigError, match=r"rank=0 is below 1"):
        choose_trainable(seeded(), "lora", rank=0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"trainable=lora needs the package peft"):
        choose_trainable(seeded(), "lora", rank=4)


def test_more_input_channels_start_without_effect(tmp_path):
    unet = seeded()
    with torch.no_grad():
        before = run(unet)
        state = torch.get_rng_state()
        widen_input(unet, 3)
        assert torch.equal(torch.get_rng_state(), state)
        assert unet.config.in_channels == 11
        for scale in (0, 1, 1e4):
            torch.testing.assert_close(run(unet, scale * torch.randn(2, 3, 8, 16)), before, rtol=0, atol=1e-6)
    unet.save_pretrained(tmp_path)
    again = AudioLDM2UNet2DConditionModel.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert again.conv_in.weight.shape[1] == 11


@pytest.mark.parametrize("trainable", ["lora", "cross"])
def test_more_input_channels_are_trained(trainable):
    unet = seeded()
    widen_input(unet, 2)
    choose_trainable(unet, trainable, rank=2)
    run(unet, torch.randn(2, 2, 8, 16)).square().mean().backward()
    assert unet.conv_in.weight.grad[:, 8:].any()
    choose_trainable(unet, "none")
    assert not unet.conv_in.weight.requires_grad


def test_fewer_input_channels_are_refused():
    unet = seeded()
    conv = unet.conv_in
    widen_input(unet, 0)
    assert unet.conv_in is conv
    with pytest.raises(ConfigError, match=r"-1 extra input channels"):
        widen_input(unet, -1)
