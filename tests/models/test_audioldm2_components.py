from __future__ import annotations

import json
import logging
import os
import pickle
import shutil

import pytest
import torch
from audioldm2_tiny import LOA, TEXT, tiny_unet, tiny_vae, tiny_vocoder, write_tiny, write_weights
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import SpeechT5HifiGan

from eeg2speech.core.errors import DataError
from eeg2speech.models.audioldm2.components import context_widths, load_components
from eeg2speech.models.audioldm2.vocoder import IstftVocoder
from eeg2speech.models.weights import fingerprint

UNET, VOCODER = "unet/diffusion_pytorch_model", "vocoder/model"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(tmp_path, written):
    """A copy to spoil."""
    return shutil.copytree(written, tmp_path / "audioldm2")


def change(file, **settings):
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


def rewrite(file, edit):
    """Weights of a safetensors file, changed."""
    save_file({k: v.contiguous() for k, v in edit(load_file(file)).items()}, file, {"format": "pt"})


def same(ours, theirs):
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    return all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("bin", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize("layout", ["speech", "general"])
def test_loads_what_diffusers_and_transformers_load(tmp_path, layout, bin):
    root = write_tiny(tmp_path, layout, bin)
    loaded = load_components(root)
    old = {"use_safetensors": not bin, "low_cpu_mem_usage": False}
    unet = AudioLDM2UNet2DConditionModel.from_pretrained(root, subfolder="unet", **old)
    assert same(loaded.unet, unet)
    assert same(loaded.vae, AutoencoderKL.from_pretrained(root, subfolder="vae", **old))
    assert same(loaded.vocoder, SpeechT5HifiGan.from_pretrained(root / "vocoder", local_files_only=True))
    theirs = DDIMScheduler.from_pretrained(root, subfolder="scheduler")
    assert torch.equal(loaded.scheduler.alphas_cumprod, theirs.alphas_cumprod)
    assert loaded.scheduler.config.clip_sample is False
    assert loaded.source == str(root)

    latents, time = torch.randn(2, 8, 8, 16), torch.tensor([3, 800])
    streams = {"encoder_hidden_states": torch.randn(2, 4, LOA)}
    if layout == "general":
        streams["encoder_hidden_states_1"] = torch.randn(2, 1, TEXT)
    with torch.no_grad():
        assert torch.equal(loaded.unet(latents, time, **streams).sample, unet(latents, time, **streams).sample)


def test_shapes_and_what_is_frozen(written):
    loaded = load_components(written)
    latents = loaded.vae.encode(torch.randn(2, 1, 32, 64)).latent_dist.mode()
    assert latents.shape == (2, 8, 8, 16)
    assert loaded.vae.config.scaling_factor == pytest.approx(0.4110932946205139)
    assert loaded.vocoder(torch.randn(2, 32, 64)).shape[0] == 2
    for frozen in (loaded.vae, loaded.vocoder):
        assert not frozen.training
        assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(parameter.requires_grad for parameter in loaded.unet.parameters())


def test_the_vocoder_of_the_tiny_set(tmp_path):
    loaded = load_components(write_tiny(tmp_path, vocoder="istft"))
    assert isinstance(loaded.vocoder, IstftVocoder)
    assert same(loaded.vocoder, IstftVocoder.from_pretrained(tmp_path, subfolder="vocoder", low_cpu_mem_usage=False))
    mel = torch.randn(1, 20, 64)
    assert torch.equal(loaded.vocoder.window, torch.hann_window(1024))  # not among the weights
    assert loaded.vocoder(mel).shape == (1, 3200)


@pytest.mark.parametrize("bin", [False, True], ids=["safetensors", "bin"])
def test_says_nothing_and_draws_no_random_numbers(tmp_path, bin, capfd, caplog):
    write_tiny(tmp_path, bin=bin)
    change(tmp_path / "unet" / "config.json", a_setting_of_another_version=1)
    capfd.readouterr()
    caplog.clear()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with caplog.at_level(logging.INFO):
        load_components(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_text_encoders_are_not_looked_at(folder):
    for part in ("text_encoder", "text_encoder_2", "language_model"):
        (folder / part).mkdir()
        (folder / part / "model.safetensors").write_text("damaged")
    load_components(folder)


def test_half_precision_becomes_single(folder, written):
    for part in (UNET, "vae/diffusion_pytorch_model", VOCODER):
        rewrite(folder / f"{part}.safetensors", lambda state: {k: v.half() for k, v in state.items()})
    change(folder / "vocoder" / "config.json", dtype="float16")
    half, single = load_components(folder), load_components(written)
    for part in ("unet", "vae", "vocoder"):
        expected = getattr(single, part).state_dict()
        for name, value in getattr(half, part).state_dict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, expected[name].half().float())


@pytest.mark.parametrize("names", [("weight_g", "weight_v"), ("parametrizations.weight.original0",) * 2])
@pytest.mark.parametrize("bin", [False, True], ids=["safetensors", "bin"])
def test_weight_norm_is_multiplied_out(folder, written, names, bin):
    vocoder = load_components(written).vocoder
    expected = {k: v.clone() for k, v in vocoder.state_dict().items()}
    vocoder.apply_weight_norm()
    with torch.no_grad():  # directions of another length than the weights, as after training
        for name, parameter in vocoder.named_parameters():
            if name.endswith("original1"):
                parameter.mul_(3.0)
    state = vocoder.state_dict()
    assert any(name.endswith("original0") for name in state)
    if names[0] == "weight_g":
        ends = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
        for new, old in ends.items():
            state = {k.replace(new, old): v for k, v in state.items()}
    (folder / "vocoder" / "model.safetensors").unlink()
    if bin:
        torch.save(state, folder / "vocoder" / "pytorch_model.bin")
    else:
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "vocoder" / "model.safetensors")
    loaded = load_components(folder).vocoder.state_dict()
    assert loaded.keys() == expected.keys()
    for name, value in loaded.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-8)


def test_old_names_of_the_autoencoders_attention(folder, written):
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def aged(state):
        for new, name in old.items():
            state = {k.replace(new, name): v for k, v in state.items()}
        assert sum(".query." in k for k in state) == 4
        return state

    rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", aged)
    assert same(load_components(folder).vae, load_components(written).vae)


def test_the_fingerprint_is_of_the_weights_not_of_the_files(folder, written, tmp_path):
    first = load_components(written).fingerprint
    assert load_components(write_tiny(tmp_path / "bin", bin=True)).fingerprint == first
    for part, edit in (
        ("unet", lambda k, v: v + (k == "conv_in.bias")),
        ("vae", lambda k, v: v * (1 + 1e-6)),
        ("vocoder", lambda k, v: -v),
    ):
        spoilt = shutil.copytree(written, tmp_path / part)
        file = spoilt / (VOCODER if part == "vocoder" else f"{part}/diffusion_pytorch_model")
        rewrite(file.with_suffix(".safetensors"), lambda state, e=edit: {k: e(k, v) for k, v in state.items()})
        assert load_components(spoilt).fingerprint != first


def test_the_fingerprint_tells_names_and_shapes_apart():
    def mark(name, *shape):
        module = torch.nn.Module()
        module.register_buffer(name, torch.zeros(shape))
        return fingerprint({"part": module})

    assert len({mark("a", 4), mark("b", 4), mark("a", 2, 2), mark("a", 4, 1), mark("a", 5), mark("a")}) == 6


def test_widths_of_the_context():
    assert context_widths(tiny_unet("speech")) == (LOA, None)
    assert context_widths(tiny_unet("general")) == (LOA, TEXT)


@pytest.mark.parametrize("dims", [(16, 16), ((16,), (16,)), ((16, 24), (16, 24)), ((None, 16), (None, 24))])
def test_other_context_layouts_are_refused(dims):
    unet = tiny_unet()
    unet.register_to_config(cross_attention_dim=dims)
    with pytest.raises(DataError, match=r"cross_attention_dim=.* where AudioLDM 2 has \[null, 768\]"):
        context_widths(unet)


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [False, True], ids=["torch.save", "pickle"])
@pytest.mark.parametrize("part", ["unet", "vae", "vocoder"])
def test_code_in_old_weights_does_not_run(tmp_path, part, legacy):
    root = write_tiny(tmp_path / "audioldm2", bin=True)
    (file,) = (root / part).glob("*.bin")
    content = {**torch.load(file, weights_only=True), "bomb": Bomb(tmp_path / "went off")}
    if legacy:
        file.write_bytes(pickle.dumps({"bomb": Bomb(tmp_path / "went off")}, protocol=2))
    else:
        torch.save(content, file)
    with pytest.raises(DataError, match=rf"{part}/.*\.bin: .*download it again"):
        load_components(root)
    assert not (tmp_path / "went off").exists()


def cut(file):
    file.write_bytes(file.read_bytes()[:-1000])


def without(name):
    return lambda state: {k: v for k, v in state.items() if k != name}


def other_network(root, part, network):
    network.save_config(root / part)
    for file in (root / part).glob("*.safetensors"):
        file.unlink()
    write_weights(root / part, network, bin=False)


def other_vocoder(root):
    vocoder = tiny_vocoder(bins=80)
    vocoder.config.save_pretrained(root / "vocoder")
    write_weights(root / "vocoder", vocoder, bin=False)


def shallow_vae(root):
    vae = AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=8, block_out_channels=[8, 16], norm_num_groups=8,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
    )  # fmt: skip
    other_network(root, "vae", vae)


def stable_diffusion(root):
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=8, norm_num_groups=8, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    other_network(root, "unet", unet)


def text_only(root):
    for part in ("unet", "vae", "vocoder", "scheduler"):
        shutil.rmtree(root / part)
    for part in ("text_encoder", "text_encoder_2"):
        (root / part).mkdir()


FAULTS = {
    "no unet": (
        lambda r: shutil.rmtree(r / "unet"),
        r"audioldm2: no folder unet, and unet, vae, vocoder, scheduler are",
    ),
    "no scheduler": (lambda r: shutil.rmtree(r / "scheduler"), r"audioldm2: no folder scheduler, and"),
    "text only": (
        text_only,
        r"no folder unet.* it holds text_encoder, text_encoder_2, text encoders, .* no AudioLDM 2",
    ),
    "no config": (lambda r: (r / "vae/config.json").unlink(), r"vae/config\.json: no such file"),
    "no schedule": (
        lambda r: (r / "scheduler/scheduler_config.json").unlink(),
        r"scheduler_config\.json: no such file",
    ),
    "no weights": (
        lambda r: (r / f"{UNET}.safetensors").unlink(),
        r"unet: has no weights, i\.e\. no diffusion_pytorch",
    ),
    "damaged config": (
        lambda r: (r / "unet/config.json").write_text("{"),
        r"unet/config\.json: not readable as settings",
    ),
    "empty config": (lambda r: (r / "unet/config.json").write_text("[]"), r"unet/config\.json: holds no settings"),
    "odd config": (
        lambda r: change(r / "vae/config.json", norm_num_groups=7),
        r"vae: its settings are not those of a AutoencoderKL \(num_channels",
    ),
    "damaged unet": (
        lambda r: cut(r / f"{UNET}.safetensors"),
        r"unet/diffusion_.*safetensors: not readable as weights",
    ),
    "damaged vocoder": (lambda r: cut(r / f"{VOCODER}.safetensors"), r"vocoder/model\.safetensors: not readable as"),
    "lacking weights": (
        lambda r: rewrite(r / f"{UNET}.safetensors", without("conv_in.bias")),
        r"unet/diffusion_.*: does not fit AudioLDM2UNet2DConditionModel; missing: conv_in\.bias;",
    ),
    "lacking vocoder weights": (
        lambda r: rewrite(r / f"{VOCODER}.safetensors", without("conv_pre.weight")),
        r"vocoder/model.*: does not fit SpeechT5HifiGan; missing: conv_pre\.weight;",
    ),
    "other weights": (
        lambda r: change(r / "unet/config.json", layers_per_block=2),
        r"unet/diffusion_.*: does not fit AudioLDM2UNet2DConditionModel; missing: ",
    ),
    "Stable Diffusion": (stable_diffusion, r"unet: a UNet2DConditionModel, where AudioLDM 2 has a AudioLDM2UNet2D"),
    "other latents": (
        lambda r: other_network(r, "vae", tiny_vae(latent=4)),
        r"unet: 8 input channels, where 4 are needed, by the latent channels of .*vae; use the components of one",
    ),
    "finer latents": (shallow_vae, r"vae: 2 scale factor, where 4 are needed"),
    "other mel": (other_vocoder, r"vocoder: 80 mel bins, where 64 are needed"),
    "other rate": (
        lambda r: change(r / "vocoder/config.json", sampling_rate=22_050),
        r"vocoder: a vocoder of 160 samples a frame at 22050 Hz, where 160 at 16000 Hz are needed",
    ),
    "other vocoder": (
        lambda r: change(r / "vocoder/config.json", model_type="univnet"),
        r"vocoder: a univnet, where AudioLDM 2 has a SpeechT5HifiGan",
    ),
    "flow matching": (
        lambda r: (r / "scheduler/scheduler_config.json").write_text(
            '{"_class_name": "FlowMatchEulerDiscreteScheduler"}'
        ),
        r"scheduler: FlowMatchEulerDiscreteScheduler has no beta_schedule",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(folder, fault):
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(DataError, match=message) as caught:
        load_components(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("content", ["no weights", None], ids=["text", "numbers"])
def test_old_files_without_weights(tmp_path, content):
    root = write_tiny(tmp_path, bin=True)
    file = root / "unet" / "diffusion_pytorch_model.bin"
    if content is None:
        torch.save({"a": 1}, file)
    else:
        file.write_text(content)
    with pytest.raises(DataError, match=r"unet/diffusion_pytorch_model\.bin: .*download it again"):
        load_components(root)
