from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn

from eeg2speech.audio.fbank import BANDS, Fbank
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Batch
from eeg2speech.models import ViTEncoder
from eeg2speech.tasks.masked import Image, MaskedTask


class AudioMAETask(MaskedTask):
    """Masked autoencoder of spectrograms of speech: trains a small audio encoder for stage 2.

    Args:
        samples: Frames of 10 ms in a window, one per EEG sample; linked from the data module.
        encoder: Encodes the visible patches of mel bands by frames; stage 2 starts from it.
        decoder: Predicts the masked patches; not used after this stage.
        optimizer: Makes the optimizer from parameter groups.
        **settings: Other arguments of ``MaskedTask``; ``electrodes`` in ``masking`` means mel bands here.

    Raises:
        ConfigError: The patch does not divide the window or the mel bands, the encoder is one for EEG, or the masking
            is out of range.
    """

    learned = "sound"

    def __init__(
        self,
        samples: int,
        encoder: ViTEncoder,
        decoder: nn.Module | None = None,
        *,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.05),
        **settings: Any,
    ) -> None:
        for key, needed in (("position", "sincos2d"), ("gain_free", False)):
            if encoder.config[key] != needed:  # mel bands have no position on the head, and their level is not a gain
                raise ConfigError(f"{key}={encoder.config[key]} is for EEG; sound needs {needed} (model.encoder.{key})")
        if BANDS % encoder.patch[0]:
            raise ConfigError(f"patch={list(encoder.patch)} does not divide {BANDS} mel bands (model.encoder.patch)")
        super().__init__(samples, encoder, decoder, optimizer=optimizer, **settings)
        self.fbank = Fbank()

    def image(self, batch: Batch) -> Image:
        """Sound as a spectrogram: mel bands by frames."""
        if not batch["audio"].shape[1]:
            raise ConfigError("the windows have no sound; set data.audio to true")
        return Image(self.fbank(batch["audio"]).transpose(1, 2))
