"""What of AudioLDM 2's UNet is trained, and more input channels for it."""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import AudioLDM2UNet2DConditionModel
from torch import nn
from torch.nn.utils import skip_init

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.audioldm2.components import context_widths

_ATTENTIONS = r".*\.attn[12]\.(to_q|to_k|to_v|to_out\.0)"


def choose_trainable(
    unet: AudioLDM2UNet2DConditionModel,
    trainable: Literal["lora", "cross", "all", "none"],
    rank: int = 16,
    alpha: int | None = None,
) -> None:
    """Choose the weights of a UNet that get gradients; all others are frozen.

    Args:
        unet: With ``widen_input`` done already: its wider first convolution is trained with ``lora`` and ``cross``,
            since its new channels would otherwise stay without effect.
        trainable: ``lora``: low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on the queries, keys, values and
            outputs of every attention; ``cross``: the attention to the language of audio, whose place the EEG takes;
            ``all``; or ``none``.
        rank: Of the adapters.
        alpha: Scale of the adapters times their rank; unset: the rank, a scale of 1.

    Raises:
        ConfigError: The rank is below 1, or peft is not installed.
    """
    unet.requires_grad_(trainable == "all")
    if trainable in ("all", "none"):
        return
    if trainable == "lora":
        _adapt(unet, rank, alpha)
    else:
        for attention in _cross_attentions(unet):
            attention.requires_grad_(True)
    if unet.config.in_channels > unet.config.out_channels:
        unet.conv_in.requires_grad_(True)


def merge_adapters(unet: AudioLDM2UNet2DConditionModel) -> None:
    """Add the adapters into the weights they adapt, in place: what is left is a plain UNet, as diffusers loads it."""
    if not hasattr(unet, "peft_config"):
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in [(n, m) for n, m in unet.named_modules() if isinstance(m, BaseTunerLayer)]:
        layer.merge()
        unet.set_submodule(name, layer.get_base_layer())
    del unet.peft_config


def widen_input(unet: AudioLDM2UNet2DConditionModel, extra: int) -> None:
    """Give a UNet more input channels, in place; at first they have no effect.

    Args:
        unet: Takes latents, (B, C, L, M); then (B, C + extra, L, M).
        extra: How many channels, after those of the latents.

    Raises:
        ConfigError: ``extra`` is below 0.
    """
    if extra < 0:
        raise ConfigError(f"{extra} extra input channels of the UNet are below 0")
    if extra == 0:
        return
    old = unet.conv_in
    wide = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, old.in_channels + extra, old.out_channels, old.kernel_size, padding=old.padding,
        device=old.weight.device, dtype=old.weight.dtype,
    ).requires_grad_(old.weight.requires_grad)  # fmt: skip
    with torch.no_grad():
        wide.weight.zero_()[:, : old.in_channels] = old.weight
        wide.bias.copy_(old.bias)
    unet.conv_in = wide
    unet.register_to_config(in_channels=wide.in_channels)


def _adapt(unet: AudioLDM2UNet2DConditionModel, rank: int, alpha: int | None) -> None:
    if rank < 1:
        raise ConfigError(f"rank={rank} is below 1 (the UNet's adapters)")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            "trainable=lora needs the package peft; install it with `pip install 'eeg2speech[lora]'`"
        ) from error
    config = LoraConfig(r=rank, lora_alpha=rank if alpha is None else alpha, target_modules=_ATTENTIONS)
    inject_adapter_in_model(config, unet)


def _cross_attentions(unet: AudioLDM2UNet2DConditionModel) -> list[nn.Module]:
    """Attentions to the first context stream: in each group the one after the latents' attention to themselves."""
    group = 2 if context_widths(unet)[1] is None else 3
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    grids = [grid for block in blocks for grid in list(getattr(block, "attentions", ()))[1::group]]
    return [block.attn2 for grid in grids for block in grid.transformer_blocks]
