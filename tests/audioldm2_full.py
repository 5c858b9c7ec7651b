"""A complete AudioLDM 2 with random weights, text stack included, as diffusers' pipeline takes it from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL, DDIMScheduler
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from tests.audioldm2_tiny import LOA, TEXT, tiny_unet, tiny_vae, tiny_vocoder

NETWORKS = ("unet", "vae", "vocoder", "scheduler")


def write_full(folder: Path, small: bool = False) -> None:
    """Write both layouts with one autoencoder and one vocoder.

    Args:
        folder: Gets ``general``, with the text stack, and ``speech``, without.
        small: Networks of the same classes that take no time.
    """
    from diffusers import AudioLDM2Pipeline

    torch.manual_seed(0)
    general, speech = folder / "general", folder / "speech"
    networks: dict[str, Any] = {
        "unet": tiny_unet("general") if small else full_unet("general"),
        "vae": tiny_vae() if small else full_vae(),
        "vocoder": tiny_vocoder() if small else full_vocoder(),
        "scheduler": full_scheduler(),
    }
    AudioLDM2Pipeline(**networks, **text_stack(small)).save_pretrained(general)
    del networks
    unet = tiny_unet("speech") if small else full_unet("speech")
    unet.save_pretrained(speech / "unet")
    for part in NETWORKS[1:]:
        (speech / part).symlink_to(general / part)


def full_unet(layout: Literal["speech", "general"]) -> AudioLDM2UNet2DConditionModel:
    """346.9 M weights in the general layout, as in ``cvssp/audioldm2``, 261.9 M in the speech one."""
    return AudioLDM2UNet2DConditionModel(
        sample_size=256, in_channels=8, out_channels=8, block_out_channels=(128, 256, 384, 640), layers_per_block=2,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
        up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
        cross_attention_dim=[[None, 768] if layout == "speech" else [None, 768, 1024]] * 4, attention_head_dim=8,
    )  # fmt: skip


def full_vae() -> AutoencoderKL:
    """55.4 M weights."""
    return AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=8, block_out_channels=[128, 256, 512], layers_per_block=2,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
        scaling_factor=0.4110932946205139, sample_size=1024,
    )  # fmt: skip


def full_vocoder() -> SpeechT5HifiGan:
    """55.3 M weights."""
    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=64, sampling_rate=16_000, upsample_initial_channel=1024, upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[16, 16, 8, 4, 4], resblock_kernel_sizes=[3, 7, 11],
            resblock_dilation_sizes=[[1, 3, 5]] * 3, normalize_before=False,
        )
    )  # fmt: skip


def full_scheduler() -> DDIMScheduler:
    """As published."""
    return DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def text_stack(small: bool) -> dict[str, Any]:
    """CLAP (193.9 M weights), Flan-T5-large's encoder (341.2 M), GPT-2 (124.4 M), their projection and tokenizers."""
    from diffusers import AudioLDM2ProjectionModel
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        GPT2Config,
        GPT2LMHeadModel,
        T5Config,
        T5EncoderModel,
    )

    width, loa, text = (16, LOA, TEXT) if small else (512, 768, 1024)
    roberta: dict[str, Any] = {}  # the defaults are those of the base size
    swin: dict[str, Any] = {"patch_embeds_hidden_size": 128, "hidden_size": 1024, "depths": [2, 2, 12, 2]}
    flan: dict[str, Any] = {"vocab_size": 32128, "d_ff": 2816, "num_layers": 24, "num_heads": 16}
    gpt: dict[str, Any] = {}
    if small:
        roberta = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
        swin = {"patch_embeds_hidden_size": 16, "hidden_size": 128, "depths": [1] * 4, "num_attention_heads": [2] * 4}
        flan = {"vocab_size": 100, "d_ff": 32, "num_layers": 2, "num_heads": 2}
        gpt = {"n_layer": 2, "n_head": 2}
    clap = ClapConfig(text_config=roberta, audio_config=swin, projection_dim=width)
    # the hub names GPT2Model, which transformers 5 cannot generate with; this one has the same weights
    language = GPT2LMHeadModel(GPT2Config(n_embd=loa, **gpt))
    language.config.max_new_tokens = 8
    return {
        "text_encoder": ClapModel(clap),
        "text_encoder_2": T5EncoderModel(T5Config(d_model=text, feed_forward_proj="gated-gelu", **flan)),
        "language_model": language,
        "projection_model": AudioLDM2ProjectionModel(width, text, loa),
        "feature_extractor": ClapFeatureExtractor(),
        **tokenizers(),
    }


def tokenizers() -> dict[str, Any]:
    """A token for every byte, or letter, in place of vocabularies that would have to be downloaded."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer, T5Tokenizer

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    letters = "\u2581abcdefghijklmnopqrstuvwxyz"  # the first is what a space becomes
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), *((letter, -3.0) for letter in letters)]
    return {
        "tokenizer": RobertaTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=512),
        "tokenizer_2": T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512),
    }
