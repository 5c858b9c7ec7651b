from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn

from eeg2speech.audio.fbank import BANDS, Fbank
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Batch
from eeg2speech.models import ViTEncoder
from eeg2speech.tasks.masked import Image, MaskedTask, Masking


class AudioMAETask(MaskedTask):
    """Learn to represent speech by filling in what is hidden of its spectrogram: a small encoder for stage 2.

    Reference: Huang et al. 2022, Masked autoencoders that listen (NeurIPS).

    Args:
        samples: Frames of 10 ms in a window, one per EEG sample; linked from the data module.
        encoder: Sees the visible patches of mel bands by frames; this is what stage 2 takes over.
        decoder: Predicts the hidden ones; dropped after this stage.
        masking: What is hidden; ``electrodes`` means mel bands here.
        normalize_target: Predict patches with zero mean and unit variance each (AudioMAE does).
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: The learning rate is for this many windows per step and scaled linearly with the effective
            batch; 0 leaves it as it is.
        encoder_weights: Checkpoint or exported folder whose encoder this run starts from.
        compile: Compile encoder blocks and decoder with torch.compile: worth it on a GPU and for long runs.

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
        masking: Masking = Masking(),  # noqa: B008
        normalize_target: bool = False,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.05),
        warmup: float = 0.05,
        reference_batch: int = 32,
        encoder_weights: Path | None = None,
        compile: bool = False,
    ) -> None:
        for key, wanted in (("position", "sincos2d"), ("gain_free", False)):
            if encoder.config[key] != wanted:  # mel bands have no place on the head, and their level is not a gain
                raise ConfigError(f"{key}={encoder.config[key]} is for EEG; sound needs {wanted} (model.encoder.{key})")
        if BANDS % encoder.patch[0]:
            raise ConfigError(f"patch={list(encoder.patch)} does not divide {BANDS} mel bands (model.encoder.patch)")
        super().__init__(
            samples, encoder, decoder, masking, normalize_target, optimizer, warmup, reference_batch, encoder_weights,
            compile,
        )  # fmt: skip
        self.remember_settings()
        self.fbank = Fbank()

    def image(self, batch: Batch) -> Image:
        """Sound as a spectrogram: mel bands by frames."""
        if not batch["audio"].shape[1]:
            raise ConfigError("the windows have no sound; set data.audio to true")
        return Image(self.fbank(batch["audio"]).transpose(1, 2))
