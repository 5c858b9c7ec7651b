"""Gradient checkpointing of AudioLDM 2's UNet: activations are computed anew in the backward pass, not kept."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import AudioLDM2UNet2DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn
from torch.utils.checkpoint import checkpoint

_MISPLACED = 7
"""Arguments, the latents included, of the calls in which diffusers 0.42 has them in the wrong places."""


def enable_gradient_checkpointing(unet: AudioLDM2UNet2DConditionModel) -> None:
    """Let a UNet recompute its blocks in the backward pass; context masks work, as they do not with diffusers' own.

    Measured with diffusers 0.42.1: its blocks pass the arguments of attention by place, in an order that the attention
    no longer has, so that the context's mask arrives as that of the latents.
    """
    unet.enable_gradient_checkpointing(gradient_checkpointing_func=_recomputed)


def _recomputed(module: nn.Module, *args: Any) -> Any:
    if isinstance(module, Transformer2DModel) and len(args) == _MISPLACED:
        latents, context, _, _, _, latents_mask, context_mask = args
        # without checkpointing these three are all that diffusers passes besides the latents
        attend = partial(module, attention_mask=latents_mask, encoder_attention_mask=context_mask, return_dict=False)
        return checkpoint(lambda x, c: attend(x, encoder_hidden_states=c), latents, context, use_reentrant=False)
    return checkpoint(module, *args, use_reentrant=False)
