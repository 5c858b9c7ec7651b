"""SimpleConv: spatial attention and residual dilated convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.eeg.encoder import silence
from eeg2speech.models.eeg.positions import HEAD_CENTRE
from eeg2speech.models.eeg.step_encoder import StepEncoder
from eeg2speech.models.registry import register

PERIOD = 5
"""Layers after which the dilation starts from 1 again."""
LOWEST = 2.4
"""Angle from the vertex, in radians, that is mapped to the edge of the unit square; below the ears."""
MARGIN = 0.2
"""Width of the border around the unit square that the position code also covers."""


@register
class SimpleConv(StepEncoder):
    """Convolutional network of Defossez et al. 2023 with a vector for every 160 ms.

    Spatial attention, a 1x1 convolution, the subject layer, blocks of two residual dilated convolutions and a gated
    one (GLU), and a 1x1 convolution with GELU, whose output is averaged over the samples of a step. The head of the
    aligner, which is linear, is the second 1x1 convolution at the end of the published network.

    Differences from the published network: the positions of the electrodes are projected from the head to a square,
    the same for all montages, instead of scaled to the range of each, and the input is the windows of this package. The
    batch norms use the statistics of the batch of each device; ``trainer.sync_batchnorm: true`` joins those of GPUs.

    Reference: Defossez et al. 2023, Decoding speech perception from non-invasive brain recordings (arXiv 2208.12266).

    Args:
        spatial: Outputs of the spatial attention; in the paper 270.
        frequencies: Frequencies of the position code along each axis of the square; in the paper 32.
        spatial_dropout: Radius around a random point in the unit square within which electrodes are left out in
            training; in the paper 0.2.
        hidden: Channels of the convolutions; in the paper 320.
        blocks: Blocks of three convolutions; in the paper 5.
        kernel: Samples that a dilated convolution covers, odd.

    Raises:
        ConfigError: A size is out of its range.
    """

    any_montage = True

    def __init__(
        self,
        spatial: int = 64,
        frequencies: int = 16,
        spatial_dropout: float = 0.2,
        hidden: int = 96,
        blocks: int = 5,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        if min(spatial, frequencies, hidden, blocks, kernel) < 1 or kernel % 2 == 0:
            raise ConfigError(
                f"spatial={spatial}, frequencies={frequencies}, hidden={hidden}, blocks={blocks} and kernel={kernel} "
                "must be above 0, and the kernel odd (model.encoder)"
            )
        if not 0 <= spatial_dropout < 1:
            raise ConfigError(f"spatial_dropout={spatial_dropout} is not in [0, 1) (model.encoder.spatial_dropout)")
        self.config: dict[str, Any] = {
            "spatial": spatial, "frequencies": frequencies, "spatial_dropout": spatial_dropout, "hidden": hidden,
            "blocks": blocks, "kernel": kernel,
        }  # fmt: skip
        self.width, self.subject_channels = 2 * hidden, spatial
        self.attention = SpatialAttention(spatial, frequencies, spatial_dropout)
        self.mix = nn.Conv1d(spatial, spatial, 1)
        self.blocks = nn.ModuleList(
            _Block(hidden if block else spatial, hidden, kernel, 2 * block) for block in range(blocks)
        )
        self.last = nn.Conv1d(hidden, self.width, 1)

    def forward(
        self,
        eeg: Tensor,
        positions: Tensor | None,
        channel_mask: Tensor | None,
        subject_layer: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Encode windows, as ``StepEncoder.forward``.

        Raises:
            ValueError: There are no positions, or not as many as channels.
        """
        if positions is None or positions.shape[:2] != eeg.shape[:2]:
            shape = None if positions is None else tuple(positions.shape)
            raise ValueError(f"positions {shape} do not go with EEG {tuple(eeg.shape)}")
        signal = self.mix(self.attention(silence(eeg, channel_mask), positions, channel_mask))
        if subject_layer is not None:
            signal = subject_layer(signal)
        for block in self.blocks:
            signal = block(signal)
        signal = F.gelu(self.last(signal))
        return F.avg_pool1d(signal, self.samples).mT


class SpatialAttention(nn.Module):
    """Weighted means of the electrodes, with weights that depend on their positions alone.

    Args:
        outputs: Number of means.
        frequencies: Of the position code, along each axis.
        dropout: Radius, in the unit square, around a random point within which electrodes are left out in training.
    """

    waves: Tensor

    def __init__(self, outputs: int, frequencies: int, dropout: float) -> None:
        super().__init__()
        features = 2 * frequencies**2
        self.queries = nn.Parameter(torch.randn(outputs, features) / features**0.5)
        self.dropout = dropout
        waves = 2 * math.pi / (1 + 2 * MARGIN) * torch.arange(frequencies).float()
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None) -> Tensor:
        """Means of the electrodes that exist, (B, outputs, T); zero in windows without any.

        Args:
            eeg: Zero where a channel does not exist, (B, C, T).
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.
        """
        place = unit_square(positions)
        used = eeg.new_ones(eeg.shape[:2], dtype=torch.bool) if channel_mask is None else channel_mask
        if self.training and self.dropout:
            centre = torch.rand(2, device=place.device)  # seeded before each step by StepSeed, as dropout is
            used = used & ((place - centre).norm(dim=-1) > self.dropout)
        angles = (place + MARGIN)[..., None] * self.waves.to(place.dtype)
        angles = rearrange(angles[:, :, 0, :, None] + angles[:, :, 1, None], "b c x y -> b c (x y)")
        codes = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.queries.dtype)
        scores = torch.einsum("bcd,od->boc", codes, self.queries).float()
        # not -inf, which gives NaN where no channel is left
        weights = scores.masked_fill(~used[:, None], -1e30).softmax(-1) * used[:, None]
        return weights.to(eeg.dtype) @ eeg


def unit_square(positions: Tensor) -> Tensor:
    """Project positions on the head, (B, C, 3) in metres, to the unit square, (B, C, 2), with the vertex in its middle.

    The distance from the middle is proportional to the angle from the vertex (azimuthal equidistant projection).
    """
    x, y, z = (positions.float() - positions.new_tensor(HEAD_CENTRE).float()).unbind(-1)
    across = torch.hypot(x, y)
    radius = torch.atan2(across, z) / LOWEST
    scale = 0.5 * radius / across.clamp(min=1e-6)
    return torch.stack([0.5 + scale * x, 0.5 + scale * y], dim=-1)


class _Block(nn.Module):
    """Two dilated convolutions, each with batch norm, GELU and a residual connection, and a gated convolution.

    Args:
        channels: Of the input; without a residual connection if they are not ``hidden``.
        hidden: Channels of the output.
        kernel: Samples that a dilated convolution covers.
        first: Index of the first convolution in the network, on which the dilations depend.
    """

    def __init__(self, channels: int, hidden: int, kernel: int, first: int) -> None:
        super().__init__()
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for index, entering in ((first, channels), (first + 1, hidden)):
            dilation = 2 ** (index % PERIOD)
            padding = kernel // 2 * dilation
            self.convolutions.append(nn.Conv1d(entering, hidden, kernel, padding=padding, dilation=dilation))
            self.norms.append(nn.BatchNorm1d(hidden))
        self.gated = nn.Conv1d(hidden, 2 * hidden, 3, padding=1)

    def forward(self, signal: Tensor) -> Tensor:
        """Transform a signal, (B, channels, T) to (B, hidden, T)."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            change = F.gelu(norm(convolution(signal)))
            signal = change + signal if change.shape == signal.shape else change
        return F.glu(self.gated(signal), dim=1)
