"""Position codes of patches: position on the head and time in the window."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.models.eeg.patches import Patch, pad_channels

HEAD_CENTRE = (0.0, 0.0, 0.04)
"""Centre of a sphere through the electrodes, in metres of head coordinates (mne's default head)."""


def sincos(places: Tensor, width: int, period: float = 10_000.0) -> Tensor:
    """Sines and cosines of positions on a line.

    Args:
        places: (N,).
        width: Even number of features.
        period: The longest wavelength is 2 pi times this.

    Returns:
        (N, width) in [-1, 1].
    """
    rates = torch.exp(-math.log(period) * torch.arange(0, width, 2, device=places.device) / width)
    angles = places[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class SinCosCode(nn.Module):
    """Fixed two-dimensional sine-cosine code of the grid of patches; electrode positions are not used.

    Reference: Huang et al. 2022, Masked Autoencoders that Listen.

    Args:
        width: Features of a token; a multiple of 4.
        patch: Electrodes and samples of a patch; not used.
    """

    def __init__(self, width: int, patch: Patch) -> None:
        super().__init__()
        self.width = width

    def forward(self, positions: Tensor | None, channel_mask: Tensor | None, groups: int, steps: int) -> Tensor:
        """Code of every patch, (1, G, L, D); arguments as of ``ElectrodeCode``."""
        device = None if positions is None else positions.device
        rows = sincos(torch.arange(groups, device=device).float(), self.width // 2)
        columns = sincos(torch.arange(steps, device=device).float(), self.width // 2)
        grid = torch.cat([rows[:, None].expand(-1, steps, -1), columns[None].expand(groups, -1, -1)], dim=-1)
        return grid[None]


class ElectrodeCode(nn.Module):
    """Code of the three-dimensional electrode positions and of time, for any montage.

    Every electrode of a patch is coded by random Fourier features of its direction from the head's centre, so that near
    electrodes have similar codes from the first training step. Learned matrices, one for each position within the patch
    and scaled identities at the start, add them up.

    Reference: Tancik et al. 2020, Fourier features let networks learn high frequency functions (arXiv 2006.10739).

    Args:
        width: Features of a token; even.
        patch: Electrodes and samples of a patch.
    """

    AMPLITUDE = 0.5
    """Scale of both codes at the start."""
    BANDWIDTH = 2.0
    """Standard deviation of the Fourier frequencies, in radians per head radius."""

    fourier: Tensor

    def __init__(self, width: int, patch: Patch) -> None:
        super().__init__()
        self.width, self.electrodes = width, patch[0]
        frequencies = torch.randn(3, width // 2, generator=torch.Generator().manual_seed(0)) * self.BANDWIDTH
        self.register_buffer("fourier", frequencies)
        eye = torch.eye(width) * self.AMPLITUDE / self.electrodes
        self.places = nn.Parameter(eye.repeat(self.electrodes, 1))

    def forward(self, positions: Tensor | None, channel_mask: Tensor | None, groups: int, steps: int) -> Tensor:
        """Code of every patch.

        Args:
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.
            groups: Electrode groups, G.
            steps: Time steps, L.

        Returns:
            (B, G, L, D).

        Raises:
            ValueError: There are no positions.
        """
        if positions is None:
            raise ValueError("positions=None needs model.encoder.position=sincos2d; `electrode` describes positions")
        centre = positions.new_tensor(HEAD_CENTRE)
        angles = F.normalize(positions - centre, dim=-1) @ self.fourier
        features = torch.cat([angles.sin(), angles.cos()], dim=-1)
        if channel_mask is not None:
            features = features.masked_fill(~channel_mask[..., None], 0)
        features = rearrange(pad_channels(features, self.electrodes), "b (g e) d -> b g (e d)", e=self.electrodes)
        place = features @ self.places
        time = self.AMPLITUDE * sincos(torch.arange(steps, device=place.device).float(), self.width, period=200.0)
        return place[:, :, None] + time.to(place.dtype)


def patch_places(positions: Tensor, channel_mask: Tensor | None, patch: Patch, steps: int) -> Tensor:
    """Position and time of each patch, from which distances between patches are computed.

    Args:
        positions: Metres in head coordinates, (B, C, 3).
        channel_mask: True where a channel exists, (B, C); None if all do.
        patch: Electrodes and samples of a patch.
        steps: Time steps, L.

    Returns:
        (B, G * L, 4): mean direction of the electrodes from the head's centre, and the time step.
    """
    directions = F.normalize(positions - positions.new_tensor(HEAD_CENTRE), dim=-1)
    exists = directions.new_ones(directions.shape[:2]) if channel_mask is None else channel_mask.to(directions.dtype)
    directions, exists = (pad_channels(x, patch[0]) for x in (directions, exists))
    directions = rearrange(directions, "b (g e) c -> b g e c", e=patch[0])
    exists = rearrange(exists, "b (g e) -> b g e 1", e=patch[0])
    centres = (directions * exists).sum(2) / exists.sum(2).clamp(min=1)
    time = torch.arange(steps, device=positions.device, dtype=centres.dtype)
    B, G = centres.shape[:2]
    grid = torch.cat([centres[:, :, None].expand(-1, -1, steps, -1), time.view(1, 1, -1, 1).expand(B, G, -1, -1)], -1)
    return grid.flatten(1, 2)


class DistanceBias(nn.Module):
    """Fixed bias that lowers attention with distance in time and over the head, differently for each attention head.

    EEG correlates with that of its neighbourhood: a model that starts with local attention leaves the plateau of
    predicting the mean within a hundred steps instead of a thousand. The attention of some heads is centred one step
    before or after, since past and future predict different things.

    Reference: Press et al. 2022, Train short, test long: attention with linear biases (arXiv 2108.12409).

    Args:
        heads: Attention heads. The first has no bias.
    """

    HEAD_BIASES = (
        (0, 0.0, 0.0), (0, 4.0, 1.0), (-1, 4.0, 4.0), (1, 4.0, 4.0),
        (-1, 4.0, 0.0), (1, 4.0, 0.0), (0, 1.0, 8.0), (0, 1.0, 1.0),
    )  # fmt: skip
    """For each attention head: centre in steps ahead, slope per step from there, slope per radius of the head. Heads
    beyond the eighth repeat them."""
    head_biases: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        chosen = [self.HEAD_BIASES[head % len(self.HEAD_BIASES)] for head in range(heads)]
        self.register_buffer("head_biases", torch.tensor(chosen), persistent=False)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Bias of attention scores.

        Args:
            queries: Places from ``patch_places``, (B, M, 4).
            keys: Places, (B, K, 4).

        Returns:
            (B, heads, M, K), at most 0.
        """
        ahead, per_step, per_radius = self.head_biases[:, :, None, None].unbind(1)
        apart = torch.linalg.vector_norm(queries[:, None, :, None, :3] - keys[:, None, None, :, :3], dim=-1)
        later = keys[:, None, None, :, 3] - queries[:, None, :, None, 3]
        bias: Tensor = -(per_step * (later - ahead).abs() + per_radius * apart)
        return bias
