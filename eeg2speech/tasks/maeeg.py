from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn

from eeg2speech.core.types import Batch
from eeg2speech.models import ViTEncoder
from eeg2speech.tasks.masked import Image, MaskedTask, Masking


class MAEEGTask(MaskedTask):
    """Stage 1: learn to represent EEG by filling in what is hidden.

    Reference: Huang et al. 2022, Masked autoencoders that listen (NeurIPS), here with electrodes in place of mel
    bands. The name MAEEG is due to Chien et al. 2022 (arXiv 2211.02625), who gave it to another model.

    Args:
        samples: EEG samples of a window; linked from the data module.
        encoder: Sees the visible patches; this is what later stages take over.
        decoder: Predicts the hidden ones; dropped after this stage.
        masking: What is hidden.
        normalize_target: Predict patches with zero mean and unit variance each (AudioMAE does).
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: The learning rate is for this many windows per step and scaled linearly with the effective
            batch; 0 leaves it as it is.
        encoder_weights: Checkpoint or exported folder whose encoder this run starts from.
        compile: Compile encoder blocks and decoder with torch.compile: worth it on a GPU and for long runs.

    Raises:
        ConfigError: The patch does not divide the window, or the masking is out of range.
    """

    learned = "eeg"

    def __init__(
        self,
        samples: int,
        encoder: ViTEncoder,
        decoder: nn.Module | None = None,
        masking: Masking = Masking(),  # noqa: B008
        normalize_target: bool = False,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=6e-3, betas=(0.9, 0.95), weight_decay=0.05),
        warmup: float = 0.05,
        reference_batch: int = 32,
        encoder_weights: Path | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(
            samples, encoder, decoder, masking, normalize_target, optimizer, warmup, reference_batch, encoder_weights,
            compile,
        )  # fmt: skip
        self.remember_settings()

    def image(self, batch: Batch) -> Image:
        """EEG as it is: electrodes by samples."""
        # attention without a mask is faster, and nearly all data has one montage
        mask = None if bool(batch["channel_mask"].all()) else batch["channel_mask"]
        return Image(batch["eeg"], batch["positions"], mask)
