"""EEGNet: temporal filters, spatial filters of each, and a separable convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.eeg.encoder import silence
from eeg2speech.models.eeg.step_encoder import StepEncoder
from eeg2speech.models.registry import register

POOLS = 4, 4
"""Samples that the two poolings average, together those of a step; in the paper 4 and 8 for windows of one trial."""


@register
class EEGNet(StepEncoder):
    """Compact convolutional network of Lawhern et al. 2018 with a vector for every 160 ms.

    The head of the aligner, which is linear and the same for all steps, stands for the published classifier. The limit
    of the norm of spatial filters is part of the forward pass. Channels that do not exist are left out after the first
    batch norm. The batch norms use the statistics of the batch of each device; ``trainer.sync_batchnorm: true`` joins
    those of GPUs.

    Reference: Lawhern et al. 2018, EEGNet: a compact convolutional neural network for EEG-based brain-computer
    interfaces (arXiv 1611.08024).

    Args:
        filters: Temporal filters, F1; in the paper 8.
        depth: Spatial filters of each temporal filter, D; in the paper 2.
        separable: Filters of the separable convolution, F2; in the paper F1 * D.
        kernel: Samples of a temporal filter, odd; in the paper half a second.
        separable_kernel: Averages of 4 samples that the separable convolution covers, odd; in the paper half a second.
        dropout: Fraction of features dropped in training; in the paper 0.5 within and 0.25 across subjects.

    Raises:
        ConfigError: A size is out of its range.
    """

    def __init__(
        self,
        filters: int = 8,
        depth: int = 2,
        separable: int = 16,
        kernel: int = 51,
        separable_kernel: int = 13,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if min(filters, depth, separable) < 1 or not kernel % 2 or not separable_kernel % 2:
            raise ConfigError(
                f"filters={filters}, depth={depth} and separable={separable} must be above 0, kernel={kernel} and "
                f"separable_kernel={separable_kernel} odd (model.encoder)"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout={dropout} is not in [0, 1) (model.encoder.dropout)")
        self.config: dict[str, Any] = {
            "filters": filters, "depth": depth, "separable": separable, "kernel": kernel,
            "separable_kernel": separable_kernel, "dropout": dropout,
        }  # fmt: skip
        self.width = separable
        both = filters * depth
        self.temporal = nn.Conv2d(1, filters, (1, kernel), padding=(0, kernel // 2), bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(filters), nn.BatchNorm1d(both), nn.BatchNorm1d(separable)])
        self.spatial: nn.Parameter | None = None
        self.depthwise = nn.Conv1d(both, both, separable_kernel, padding=separable_kernel // 2, groups=both, bias=False)
        self.pointwise = nn.Conv1d(both, separable, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def build(self, channels: int) -> None:
        """Make the spatial filters."""
        both = self.depthwise.in_channels
        # as nn.Conv2d(filters, both, (channels, 1), groups=filters) initialises its filters
        self.spatial = nn.Parameter(torch.empty(both, 1, channels, 1).uniform_(-1, 1) / channels**0.5)

    def forward(
        self,
        eeg: Tensor,
        positions: Tensor | None,
        channel_mask: Tensor | None,
        subject_layer: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Encode windows, as ``StepEncoder.forward``; positions are not used.

        Raises:
            ValueError: There are more channels than the filters have, which ``build`` makes.
        """
        C = eeg.shape[1]
        if self.spatial is None or self.spatial.shape[2] < C:
            most = 0 if self.spatial is None else self.spatial.shape[2]
            raise ValueError(f"EEG of {C} channels does not fit an EEGNet that was built for {most}")
        signal = self.norms[0](self.temporal(silence(eeg, channel_mask)[:, None]))  # (B, F1, C, T)
        if channel_mask is not None:  # the batch norm gave them a constant
            signal = signal * channel_mask[:, None, :, None]
        norm = self.spatial.flatten(1).norm(dim=1).clamp(min=1)
        spatial = (self.spatial / norm[:, None, None, None])[:, :, :C]
        signal = F.conv2d(signal, spatial, groups=signal.shape[1])[:, :, 0]
        signal = self.dropout(F.avg_pool1d(F.elu(self.norms[1](signal)), POOLS[0]))
        signal = self.pointwise(self.depthwise(signal))
        signal = self.dropout(F.avg_pool1d(F.elu(self.norms[2](signal)), POOLS[1]))
        out: Tensor = signal.mT
        return out
