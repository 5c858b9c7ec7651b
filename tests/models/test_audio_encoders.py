"""Encoders of sound, whatever their kind, and AudioMAE's weights from wherever they may be."""

from __future__ import annotations

import argparse
import shutil
import sys

import pytest
import torch
from safetensors.torch import save_file

from eeg2speech.audio.fbank import Fbank
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.audio.audiomae import AudioMAE
from eeg2speech.models.audio.encoder import AudioEncoder, SpectrogramViT

SMALL = {"width": 24, "depth": 3, "heads": 2}
ENCODERS = {
    "spectrogram": (SpectrogramViT, {}),
    "spectrogram-trained": (SpectrogramViT, {"trainable": True}),
    "audiomae": (AudioMAE, {}),
    "audiomae-blocks": (AudioMAE, {"blocks": [0, 1]}),
    "audiomae-last": (AudioMAE, {"trainable": "last", "last": 1}),
    "audiomae-all": (AudioMAE, {"trainable": "all"}),
    "audiomae-lora": (AudioMAE, {"trainable": "lora", "rank": 2}),
}
each_encoder = pytest.mark.parametrize("name", ENCODERS)
TRAINED = {
    "spectrogram": (), "audiomae": (), "audiomae-blocks": (),
    "spectrogram-trained": ("encoder.",),
    "audiomae-last": ("vit.blocks.2.", "vit.norm."),
    "audiomae-all": ("vit.blocks.", "vit.norm.", "vit.patch_embed.", "vit.cls_token"),
    "audiomae-lora": tuple(
        f"vit.blocks.{block}.attn.{part}.lora_{side}." for block in range(3) for part in ("qkv", "proj")
        for side in "AB"
    ),
}  # fmt: skip
"""Beginnings of the names of trained weights."""


def make(name, seed=0, **settings):
    torch.manual_seed(seed)
    kind, options = ENCODERS[name]
    made = kind(**SMALL | options | settings)
    assert isinstance(made, AudioEncoder)
    return made


def noise(batch=2, steps=4, seed=0):
    return 0.1 * torch.randn(batch, 2560 * steps, generator=torch.Generator().manual_seed(seed))


def encoder_state(**settings):
    """Weights of a small AudioMAE under the names that its authors and timm use."""
    torch.manual_seed(7)
    return AudioMAE(**SMALL | settings).vit.state_dict()


@each_encoder
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_tokens_are_steps_by_rows(name, steps):
    encoder = make(name)
    for batch in (2, 1):
        tokens = encoder(noise(batch, steps))
        assert tokens.shape == (batch, steps, encoder.rows, encoder.width) == (batch, steps, 8, 24)
        assert tokens.dtype == torch.float32
        assert tokens.isfinite().all()


@each_encoder
def test_each_sound_is_by_itself_and_results_repeat(name):
    encoder, audio = make(name).eval(), noise(3)
    together = encoder(audio)
    torch.testing.assert_close(encoder(audio[1:2]), together[1:2], atol=1e-4, rtol=1e-4)
    assert torch.equal(make(name).eval()(audio), together)


@each_encoder
def test_time_and_spectrum_lie_where_they_should(name):
    """What changes in one step and stretch of the spectrum changes its token most."""
    encoder = make(name).eval()
    quiet = 0.001 * noise(1, 6)
    time = torch.arange(quiet.shape[1]) / 16_000
    loud = quiet.clone()
    there = slice(3 * 2560 + 400, 4 * 2560 - 400)
    loud[0, there] += 0.3 * torch.sin(2 * torch.pi * 6500 * time[there])  # the top row starts at 6080 Hz
    difference = (encoder(loud) - encoder(quiet)).square().sum(-1)[0]
    assert divmod(int(difference.argmax()), 8) == (3, 7)


@each_encoder
def test_only_what_was_asked_for_is_trained_and_all_of_it(name):
    encoder = make(name)
    assert encoder.frozen == (not TRAINED[name])
    trained = {key for key, value in encoder.named_parameters() if value.requires_grad}
    assert trained == {key for key, _ in encoder.named_parameters() if key.startswith(TRAINED[name])} - {
        "vit.pos_embed"
    }
    for _, value in encoder.named_parameters():
        if value.requires_grad:  # adapters start at zero, behind which no gradient is
            torch.nn.init.normal_(value, std=0.1)
    out = encoder(noise())
    assert out.requires_grad == bool(trained)
    if trained:
        out.square().sum().backward() if name != "audiomae-last" else (out**3).sum().backward()
        gradients = {key: value.grad for key, value in encoder.named_parameters() if value.grad is not None}
        assert gradients.keys() == trained
        assert all(gradient.abs().sum() > 0 for gradient in gradients.values())


@each_encoder
def test_frozen_encoders_stay_in_evaluation_mode(name):
    model = torch.nn.Sequential(make(name))
    assert model.train()[0].training == bool(TRAINED[name])
    assert not model.eval()[0].training
    with torch.no_grad():
        assert not make(name)(noise()).requires_grad


@each_encoder
def test_config_and_weights_build_it_anew(name):
    encoder = make(name)
    again = type(encoder)(**encoder.config)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again.eval()(noise()), encoder.eval()(noise()))


@each_encoder
@pytest.mark.parametrize("samples", [0, 100, 2561, 51_200 + 160])
def test_sounds_that_are_no_whole_steps_are_refused(name, samples):
    with pytest.raises(ConfigError, match=rf"{samples} samples of sound .*\(data.audio, data.window\)"):
        make(name)(torch.zeros(1, samples))


def test_windows_up_to_10_24_seconds_take_first_position_codes():
    encoder = make("audiomae")
    assert encoder(noise(1, 64)).shape == (1, 64, 8, 24)
    with pytest.raises(ConfigError, match=r"10.4 s of sound is longer than the 10.24 s of AudioMAE \(data.window\)"):
        encoder(noise(1, 65))
    with torch.no_grad():
        before = encoder(noise(1, 4))
        encoder.vit.pos_embed[:, 1 + 4 * 8 :] += 1
        assert torch.equal(encoder(noise(1, 4)), before)
        encoder.vit.pos_embed[:, 4 * 8] += 1
        assert not torch.equal(encoder(noise(1, 4)), before)


def test_the_full_window_is_what_timm_computes():
    encoder, audio = make("audiomae"), noise(1, 64)
    image = Fbank()(audio)[:, None]
    with torch.no_grad():
        theirs = encoder.vit.forward_features(image)[:, 1:].unflatten(1, (64, 8))
        inner = encoder.vit.forward_intermediates(
            image, indices=[0, 1, 2], norm=True, output_fmt="NLC", intermediates_only=True
        )
    torch.testing.assert_close(encoder(audio), theirs)
    for ours, block in zip(encoder.each_block(audio), inner, strict=True):
        torch.testing.assert_close(ours, block.unflatten(1, (64, 8)))
    several = make("audiomae", blocks=[0, 2])
    expected = (inner[0] + inner[2]).unflatten(1, (64, 8)) / 2
    torch.testing.assert_close(several(audio), expected)


def test_the_default_is_the_published_model():
    with torch.device("meta"):
        encoder = AudioMAE()
    parameters = sum(value.numel() for value in encoder.vit.parameters())
    assert parameters == 85_648_128  # of vit_base_patch16_224 with one channel, 513 positions and no head
    assert encoder.vit.pos_embed.shape == (1, 513, 768)


def as_file(folder, kind):
    """Weights in one of the forms they come in, and what to ask for."""
    state = {name: value.clone() for name, value in encoder_state().items()}
    file = folder / "model.safetensors"
    if kind == "pth":
        extra = {"mask_token": torch.zeros(1, 1, 8), "decoder_embed.weight": torch.zeros(8, 24)}
        torch.save({"model": state | extra, "epoch": 1, "args": argparse.Namespace(lr=1)}, folder / "pretrained.pth")
        return folder / "pretrained.pth"
    if kind == "fc_norm":
        state = {
            name.replace("norm.", "fc_norm.") if name.startswith("norm.") else name: v for name, v in state.items()
        }
        state["head.weight"], state["head.bias"] = torch.zeros(527, 24), torch.zeros(527)
    save_file(state, file)
    return folder if kind == "folder" else file


@pytest.mark.parametrize("kind", ["folder", "file", "fc_norm", "pth"])
@pytest.mark.parametrize("name", ["audiomae", "audiomae-lora", "audiomae-last"])
def test_weights_are_taken_over_from_any_form(tmp_path, kind, name):
    source = as_file(tmp_path, kind)
    for encoder in (make(name, weights=source), make(name)):
        encoder.load(str(source))
        state = {key.replace(".base_layer.", "."): value for key, value in encoder.vit.state_dict().items()}
        for key, value in encoder_state().items():
            assert torch.equal(state[key], value)


def test_weights_from_the_hub(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []
    as_file(tmp_path, "file")

    def download(repo, file):
        asked.append((repo, file))
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    encoder = make("audiomae", weights="hf_hub:somebody/audiomae")
    assert asked == [("somebody/audiomae", "model.safetensors")]
    assert torch.equal(encoder.vit.norm.weight, encoder_state()["norm.weight"])


def test_a_hub_out_of_reach_is_named_with_a_way_out(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"hf_hub:somebody/nothing-here: .* name the local folder instead"):
        make("audiomae", weights="hf_hub:somebody/nothing-here")


def spoil(folder, how):
    source = as_file(folder, "pth" if how in ("code", "cut pth", "no weights") else "file")
    if how == "missing":
        source.unlink()
    elif how == "empty folder":
        source.unlink()
        return folder
    elif how in ("cut", "cut pth"):
        source.write_bytes(source.read_bytes()[:1000])
    elif how == "text":
        source.write_text("no weights")
    elif how == "code":
        torch.save({"model": shutil.rmtree}, source)
    elif how == "no weights":
        torch.save({"model": {"a": 1}}, source)
    return source


@pytest.mark.parametrize("how", ["missing", "empty folder", "cut", "cut pth", "text", "code", "no weights"])
def test_files_that_cannot_be_read_are_named(tmp_path, how):
    source = spoil(tmp_path, how)
    with pytest.raises(DataError, match=r"(model.safetensors|pretrained.pth): (no such file|not readable|damaged)"):
        make("audiomae", weights=source)


def test_weights_of_another_model_are_refused_and_nothing_is_changed(tmp_path):
    save_file(encoder_state(width=32), tmp_path / "wide.safetensors")
    save_file({"odd": torch.zeros(1)}, tmp_path / "odd.safetensors")
    encoder = make("audiomae")
    before = encoder.vit.norm.weight.clone()
    with pytest.raises(
        DataError, match=r"wide.safetensors: does not fit .* of another shape: .*\(32,\) instead of \(24,\)"
    ):
        encoder.load(tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match=r"missing: .*; unexpected: odd"):
        encoder.load(tmp_path / "odd.safetensors")
    assert torch.equal(encoder.vit.norm.weight, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": [3]}, r"blocks=\[3\] are not among 0 to 2"),
        ({"blocks": []}, r"blocks=\[\]"),
        ({"blocks": [-1]}, r"blocks=\[-1\]"),
        ({"last": 4, "trainable": "last"}, r"last=4 is not from 1 to the 3 blocks"),
        ({"last": 2, "blocks": [0], "trainable": "last"}, r"last=2 is not from 1 to the 1 blocks"),
        ({"rank": 0, "trainable": "lora"}, r"rank=0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        AudioMAE(**SMALL | settings)


def test_adapters_start_as_nothing_and_need_peft(monkeypatch):
    plain, adapted = make("audiomae"), make("audiomae-lora")
    state = {key.replace(".base_layer.", "."): value for key, value in adapted.vit.state_dict().items()}
    plain.vit.load_state_dict({key: value for key, value in state.items() if ".lora_" not in key})
    torch.testing.assert_close(plain(noise()), adapted(noise()))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"trainable=lora needs the package peft"):
        make("audiomae-lora")
    make("audiomae")


def test_blocks_beyond_the_chosen_get_no_gradient_and_no_adapter():
    encoder = AudioMAE(**SMALL, trainable="all", blocks=[0, 1])
    encoder(noise()).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    adapted = AudioMAE(**SMALL, trainable="lora", blocks=[0])
    assert not any("blocks.1" in key for key, p in adapted.named_parameters() if p.requires_grad)


def test_every_block_can_be_had_without_gradients():
    outputs = make("audiomae-all", blocks=[0]).each_block(noise())
    assert len(outputs) == 3
    assert not any(out.requires_grad for out in outputs)
