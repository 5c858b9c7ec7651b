from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
"""Key of the evaluation masks: they depend on it and on the window's index alone."""


@dataclass
class Masking:
    """What is hidden.

    Attributes:
        ratio: Share of the patches, in (0, 1). AudioMAE hides 0.8; models of EEG 0.5 to 0.75.
        kind: ``random`` patches, whole ``electrodes`` groups, or whole ``time`` steps.
        start: Share that training begins with; it rises to ``ratio``, which shortens the plateau. Unset: no rise.
        ramp: Share of the run over which it rises.
    """

    ratio: float = 0.8
    kind: MaskKind = "random"
    start: float | None = None
    ramp: float = 0.5


class Image(NamedTuple):
    """What an autoencoder sees of a batch.

    Attributes:
        rows: The image, (B, C, T).
        positions: Of its rows, in metres, (B, C, 3); None where rows have no place.
        mask: True where a row exists, (B, C); None if all do.
    """

    rows: Tensor
    positions: Tensor | None = None
    mask: Tensor | None = None


class MaskedTask(Task):
    """Learn to represent images by filling in what is hidden, whatever they show.

    Args:
        samples: Columns of an image.
        encoder: Sees the visible patches; this is what later stages take over.
        decoder: Predicts the hidden ones; dropped after this stage.
        masking: What is hidden.
        normalize_target: Predict patches with zero mean and unit variance each.
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: See ``Task``.
        encoder_weights: Checkpoint or exported folder whose encoder this run starts from.
        compile: Compile encoder blocks and decoder with torch.compile.

    Raises:
        ConfigError: The patch does not divide the window, or the masking is out of range.
    """

    def __init__(
        self,
        samples: int,
        encoder: ViTEncoder,
        decoder: nn.Module | None,
        masking: Masking,
        normalize_target: bool,
        optimizer: OptimizerCallable,
        warmup: float,
        reference_batch: int,
        encoder_weights: Path | None,
        compile: bool,
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

    @abstractmethod
    def image(self, batch: Batch) -> Image:
        """What the autoencoder sees of a batch."""

    @property
    def encoder(self) -> ViTEncoder:
        """What later stages take over."""
        return self.autoencoder.encoder

    def mask_ratio(self) -> float:
        """Share of the patches that training hides at this step."""
        masking = self.masking
        if masking.start is None or not masking.ramp:
            return masking.ratio
        progress = self.trainer.global_step / (masking.ramp * self.trainer.estimated_stepping_batches)
        return masking.start + (masking.ratio - masking.start) * min(1.0, progress)

    def step(self, batch: Batch, stage: Stage, split: str) -> dict[str, Any]:
        """Hide, predict, compare; evaluation masks depend on the window alone and hide the full share."""
        image = self.image(batch)
        training = stage == "train"
        seeds = None if training else [mix(MASKS, index) for index in batch["index"].tolist()]
        ratio = self.mask_ratio() if training else self.masking.ratio
        result = self.autoencoder(*image, ratio, self.masking.kind, seeds)
        # in units of each window's own gain: otherwise a few windows with blinks are most of the gradient
        loss = masked_mse(result.prediction / result.gain, result.target / result.gain, result.weight)
        if training:
            return {"loss": loss}
        metric = self.metric(split)
        metric.update(result.prediction, result.target, result.weight)
        name = "val/nmse" if stage == "val" else f"test/{split}/nmse"
        self.log(name, metric, prog_bar=stage == "val", add_dataloader_idx=False)
        return {"loss": loss, "image": image, "result": result}

    def metric(self, split: str) -> NormalizedMSE:
        """The error metric of a list of windows."""
        metric = self.nmse[split]
        assert isinstance(metric, NormalizedMSE)
        return metric

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Represent windows: tokens (B, L, G, D) and their mean (B, D)."""
        image = self.image(batch)
        tokens = self.encoder(*image)
        return {"tokens": tokens, "pooled": self.encoder.pool(tokens, image.mask)}
