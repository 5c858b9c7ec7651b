"""Dealing out a stage-3 model to processes, where it outgrows one GPU."""

from __future__ import annotations

from typing import Any

from torch import nn

from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.sharded import shard


def dealt_parts(model: SpeechDiffusion) -> list[nn.Module]:
    """What ``shard_speech`` deals out."""
    parts = (model.unet, model.conditioner, model.aligner, model.readout)
    return [part for part in parts if part is not None]


def shard_speech(model: SpeechDiffusion, mesh: Any) -> None:
    """Deal out all that is trained, and the UNet's frozen weights with it; nothing if that is done already.

    Autoencoder, vocoder and audio encoder stay whole on every process: they have no gradients and no optimizer, and are
    small beside a UNet that is trained. Optimizers and norms refuse to have some weights dealt out and some not, so
    that small parts go the way of the large ones.

    Args:
        model: Is changed in place.
        mesh: Of processes, of one dimension.
    """
    for block in (*model.unet.down_blocks, model.unet.mid_block, *model.unet.up_blocks):
        shard(block, mesh)
    for part in dealt_parts(model):
        shard(part, mesh, methods=("eeg_steps",) if part is model.aligner else ())
