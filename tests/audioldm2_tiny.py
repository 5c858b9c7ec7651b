"""Tiny random components in the folders and files of AudioLDM 2's checkpoints on the hub, without the text stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL, DDIMScheduler
from safetensors.torch import save_file
from torch import nn
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from eeg2speech.models.audioldm2.vocoder import IstftVocoder

LOA, TEXT = 16, 24
"""Widths of the context streams; 768 and 1024 in the real ones."""
INDEX = {
    "_class_name": "AudioLDM2Pipeline",
    "_diffusers_version": "0.21.0.dev0",
    "feature_extractor": ["transformers", "ClapFeatureExtractor"],
    "language_model": ["transformers", "GPT2Model"],
    "projection_model": ["audioldm2", "AudioLDM2ProjectionModel"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "ClapModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "RobertaTokenizerFast"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "unet": ["audioldm2", "AudioLDM2UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "vocoder": ["transformers", "SpeechT5HifiGan"],
}


def write_tiny(
    folder: Path,
    layout: Literal["speech", "general"] = "speech",
    bin: bool = False,
    vocoder: Literal["hifigan", "istft"] = "hifigan",
) -> Path:
    """Write UNet, VAE, vocoder and scheduler; the same weights each time.

    Args:
        folder: Made if it is not there.
        layout: One context stream, or two.
        bin: Weights as torch.save writes them, instead of safetensors.
        vocoder: HiFi-GAN as the published ones have, or the one of the tiny set.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = {"unet": tiny_unet(layout), "vae": tiny_vae(), "vocoder": tiny_vocoder(vocoder)}
    for part, network in networks.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_weights(folder / part, network, bin)
        if isinstance(network, SpeechT5HifiGan):
            network.config.architectures = ["SpeechT5HifiGan"]
            network.config.save_pretrained(folder / part)
        else:
            network.save_config(folder / part)
    DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    ).save_config(folder / "scheduler")  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2))
    return folder


def write_weights(folder: Path, network: nn.Module, bin: bool) -> Path:
    """Write weights under the name that the network's library gives them."""
    own = isinstance(network, SpeechT5HifiGan)
    if bin:
        file = folder / ("pytorch_model.bin" if own else "diffusion_pytorch_model.bin")
        torch.save(network.state_dict(), file)
    else:
        file = folder / ("model.safetensors" if own else "diffusion_pytorch_model.safetensors")
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, file, {"format": "pt"})
    return file


def tiny_unet(layout: Literal["speech", "general"] = "speech") -> AudioLDM2UNet2DConditionModel:
    """8 latent channels in and out; two resolutions, as many attentions to a place as the published ones have."""
    return AudioLDM2UNet2DConditionModel(
        sample_size=32, in_channels=8, out_channels=8, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=[[None, LOA] if layout == "speech" else [None, LOA, TEXT]] * 2, attention_head_dim=4,
        norm_num_groups=8,
    )  # fmt: skip


def tiny_vae(latent: int = 8) -> AutoencoderKL:
    """Spectrograms, (B, 1, L, 64), to latents, (B, 8, L / 4, 16)."""
    return AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=latent, block_out_channels=[8, 16, 16], layers_per_block=1,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3, norm_num_groups=8,
        scaling_factor=0.4110932946205139, sample_size=1024,
    )  # fmt: skip


def tiny_vocoder(kind: Literal["hifigan", "istft"] = "hifigan", bins: int = 64) -> SpeechT5HifiGan | IstftVocoder:
    """Log mel spectrograms, (B, L, 64), to waveforms, 160 samples a frame."""
    if kind == "istft":
        return IstftVocoder(model_in_dim=bins, width=16, depth=1)
    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=bins, sampling_rate=16_000, upsample_initial_channel=32, upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[16, 16, 8, 4, 4], resblock_kernel_sizes=[3, 7, 11],
            resblock_dilation_sizes=[[1, 3, 5]] * 3, normalize_before=False,
        )
    )  # fmt: skip
