from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import TEST_SPLITS, Batch
from eeg2speech.losses import masked_mse
from eeg2speech.metrics import NormalizedMSE
from eeg2speech.models import CrossDecoder, MaskedAutoencoder, ViTEncoder
from eeg2speech.models.eeg.patches import MaskKind
from eeg2speech.tasks.base import Stage, Task

MASKS = 0x6D61736B
"""Key of the random masks in evaluation, which depend on it and on the window's index alone."""


@dataclass
class Masking:
    """Which patches are masked.

    Attributes:
        ratio: Share of the patches, in (0, 1). AudioMAE masks 0.8; models of EEG 0.5 to 0.75.
        kind: ``random`` patches, whole ``electrodes`` groups, or whole ``time`` steps.
        start: Share at the first step; it rises to ``ratio``, which shortens the plateau. Unset: no rise.
        ramp: Share of the run over which it rises.
    """

    ratio: float = 0.8
    kind: MaskKind = "random"
    start: float | None = None
    ramp: float = 0.5


class Image(NamedTuple):
    """Input of the autoencoder.

    Attributes:
        rows: The image, (B, C, T).
        positions: Positions of its rows in metres, (B, C, 3); None where rows have no position.
        mask: True where a row exists, (B, C); None if all do.
    """

    rows: Tensor
    positions: Tensor | None = None
    mask: Tensor | None = None


class MaskedTask(Task):
    """Masked autoencoder on images of EEG or of sound.

    Reference: Huang et al. 2022, Masked autoencoders that listen (NeurIPS).

    Args:
        samples: Columns of an image; linked from the data module.
        encoder: Encodes the visible patches; later stages start from it.
        decoder: Predicts the masked patches; not used after this stage.
        masking: Which patches are masked.
        normalize_target: Predict patches with zero mean and unit variance each (AudioMAE does).
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: Windows per step that the learning rate is meant for; it is scaled linearly with the effective
            batch. 0: no scaling.
        encoder_weights: Checkpoint or exported folder whose encoder this run starts from.
        compile: Compile encoder blocks and decoder with torch.compile, which is faster on a GPU and in long runs.

    Raises:
        ConfigError: The patch does not divide the window, or the masking is out of range.
    """

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
        super().__init__(optimizer, warmup, reference_batch, encoder_weights)
        length = encoder.patch[1]
        if samples % length:
            raise ConfigError(
                f"a window of samples={samples} is not a multiple of patch={list(encoder.patch)}'s {length} samples "
                f"(data.window, model.encoder.patch); one that fits: {max(1, samples // length) * length / 100:g} s"
            )
        for key, value in (("ratio", masking.ratio), ("start", masking.start)):
            if value is not None and not 0 < value < 1:
                raise ConfigError(f"{key}={value} is not between 0 and 1 (model.masking.{key})")
        if not 0 <= masking.ramp <= 1:
            raise ConfigError(f"ramp={masking.ramp} is not a share of the run from 0 to 1 (model.masking.ramp)")
        self.autoencoder = MaskedAutoencoder(encoder, decoder or CrossDecoder(), normalize_target)
        self.masking = masking
        self.nmse = nn.ModuleDict({split: NormalizedMSE() for split in ("val", *TEST_SPLITS)})
        if compile:  # in place, so that no prefix enters the names of weights
            encoder.blocks.compile(dynamic=True)
            self.autoencoder.decoder.compile(dynamic=True)
        self.save_settings()

    @abstractmethod
    def image(self, batch: Batch) -> Image:
        """The autoencoder's input for a batch."""

    @property
    def encoder(self) -> ViTEncoder:
        """The encoder, which later stages start from."""
        return self.autoencoder.encoder

    def mask_ratio(self) -> float:
        """Share of the patches that training masks at this step."""
        masking = self.masking
        if masking.start is None or not masking.ramp:
            return masking.ratio
        progress = self.trainer.global_step / (masking.ramp * self.trainer.estimated_stepping_batches)
        return masking.start + (masking.ratio - masking.start) * min(1.0, progress)

    def step(self, batch: Batch, stage: Stage, split: str) -> dict[str, Any]:
        """Mask, predict and compare; in evaluation masks depend on the window alone and cover the full share."""
        image = self.image(batch)
        training = stage == "train"
        seeds = None if training else [mix(MASKS, index) for index in batch["index"].tolist()]
        ratio = self.mask_ratio() if training else self.masking.ratio
        result = self.autoencoder(*image, ratio, self.masking.kind, seeds)
        # in units of each window's own gain: otherwise a few windows with blinks dominate the gradient
        loss = masked_mse(result.prediction / result.gain, result.target / result.gain, result.weight)
        if training:
            return {"loss": loss}
        metric = cast(NormalizedMSE, self.nmse[split])
        metric.update(result.prediction, result.target, result.weight)
        name = "val/nmse" if stage == "val" else f"test/{split}/nmse"
        self.log(name, metric, prog_bar=stage == "val", add_dataloader_idx=False)
        return {"loss": loss, "image": image, "result": result}

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Encode windows: ``tokens``, (B, L, G, D), and ``pooled``, their mean, (B, D)."""
        image = self.image(batch)
        tokens = self.encoder(*image)
        return {"tokens": tokens, "pooled": self.encoder.pool(tokens, image.mask)}
