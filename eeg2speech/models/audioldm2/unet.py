"""AudioLDM 2's UNet: its context streams, the weights that are trained, extra input channels, and checkpointing."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from diffusers import AudioLDM2UNet2DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn
from torch.nn.utils import skip_init
from torch.utils.checkpoint import checkpoint

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.lora import add_adapters

Trainable = Literal["lora", "cross", "all", "none"]
"""Weights of the UNet that are trained."""
_ATTENTIONS = r".*\.attn[12]\.(to_q|to_k|to_v|to_out\.0)"


def context_widths(unet: AudioLDM2UNet2DConditionModel) -> tuple[int, int | None]:
    """Widths of the context streams that a UNet attends to.

    Returns:
        Width for the language of audio, 768 in both published layouts, and for text, 1024 in the general layout and
        None in that for speech, which has no such stream.

    Raises:
        DataError: The UNet has another layout.
    """
    layouts = unet.config.cross_attention_dim
    first = layouts[0] if isinstance(layouts, list | tuple) and layouts else layouts
    same = isinstance(first, list | tuple) and all(list(layout) == list(first) for layout in layouts)
    # null stands for the first attention of each group, which attends to the latents alone
    if not same or len(first) not in (2, 3) or first[0] is not None or not all(isinstance(w, int) for w in first[1:]):
        raise DataError(
            f"a UNet with cross_attention_dim={layouts}, where AudioLDM 2 has [null, 768] or [null, 768, 1024] in "
            "every block; use a checkpoint of AudioLDM 2"
        )
    return first[1], first[2] if len(first) == 3 else None


def choose_trainable(unet: AudioLDM2UNet2DConditionModel, trainable: Trainable, rank: int = 16) -> None:
    """Choose the weights of a UNet that get gradients; all others are frozen.

    Args:
        unet: After ``widen_input``: the widened first convolution is trained with ``lora`` and ``cross``, too, because
            its new channels start without effect.
        trainable: ``lora``: adapters on the queries, keys, values and outputs of every attention; ``cross``: the
            attention to the language of audio, which the EEG predicts; ``all``; or ``none``.
        rank: See ``add_adapters``.

    Raises:
        ConfigError: The rank is below 1, or peft is not installed.
    """
    unet.requires_grad_(trainable == "all")
    if trainable in ("all", "none"):
        return
    if trainable == "lora":
        add_adapters(unet, _ATTENTIONS, rank)
    else:
        for attention in _cross_attentions(unet):
            attention.requires_grad_(True)
    if unet.config.in_channels > unet.config.out_channels:
        unet.conv_in.requires_grad_(True)


def widen_input(unet: AudioLDM2UNet2DConditionModel, extra: int) -> None:
    """Add input channels to a UNet, in place, with weights of zero.

    Args:
        unet: Its input becomes (B, C + extra, L, M), with the latents, (B, C, L, M), first.
        extra: Number of channels to add.

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


def enable_gradient_checkpointing(unet: AudioLDM2UNet2DConditionModel) -> None:
    """Recompute the blocks of a UNet in the backward pass, which saves memory.

    The checkpointing of diffusers 0.42.1 passes the arguments of attention in a wrong order, masks among them. Here
    attention gets latents and context only: the UNet is not to be called with masks.
    """
    unet.enable_gradient_checkpointing(gradient_checkpointing_func=_recomputed)


def _recomputed(module: nn.Module, *args: Any) -> Any:
    if isinstance(module, Transformer2DModel):
        latents, context = args[:2]
        return checkpoint(partial(module, return_dict=False), latents, context, use_reentrant=False)
    return checkpoint(module, *args, use_reentrant=False)


def _cross_attentions(unet: AudioLDM2UNet2DConditionModel) -> list[nn.Module]:
    """Attentions to the first context stream: in each group the one after the self-attention of the latents."""
    group = 2 if context_widths(unet)[1] is None else 3
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    grids = [grid for block in blocks for grid in list(getattr(block, "attentions", ()))[1::group]]
    return [block.attn2 for grid in grids for block in grid.transformer_blocks]
