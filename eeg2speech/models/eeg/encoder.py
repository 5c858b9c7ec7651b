"""The encoder of EEG: a vision transformer over patches of electrodes and samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.eeg.patches import Patch, pad_channels, patchify
from eeg2speech.models.eeg.positions import DistanceBias, ElectrodeCode, SinCosCode, patch_places
from eeg2speech.models.eeg.transformer import Blocks, LayerNorm, attention_mask, start_as_similarity
from eeg2speech.models.registry import register

QUIET = 1e-3
"""Smallest root mean square that a window is divided by, in robust standard deviations."""
CODES = {"electrode": ElectrodeCode, "sincos2d": SinCosCode}


@dataclass
class Layout:
    """Positions of patches, electrode group by electrode group. N = G * L patches.

    Attributes:
        codes: Position codes, (B or 1, N, D).
        places: Position and time of patches, see ``patch_places``, (B, N, 4); None if the encoder does not use them.
        electrodes: Number of electrodes of a patch that exist, (B, N); None if all do.
        grid: G electrode groups, L time steps.
    """

    codes: Tensor
    places: Tensor | None
    electrodes: Tensor | None
    grid: tuple[int, int]

    @property
    def exists(self) -> Tensor | None:
        """Which patches have an electrode, (B, N); None if all do."""
        return None if self.electrodes is None else self.electrodes > 0


@register
class ViTEncoder(nn.Module):
    """Vision transformer over patches of an (electrodes x samples) image.

    Channels must be ordered so that neighbours on the head follow one another, as in the data module.

    Reference: Dosovitskiy et al. 2021, An image is worth 16x16 words (arXiv 2010.11929).

    Args:
        patch: Electrodes and samples of a patch.
        width: Features of a token, D.
        depth: Transformer blocks.
        heads: Attention heads; a divisor of the width.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.
        position: ``electrode`` codes 3-D position and time, for any montage; ``sincos2d`` codes the position in the
            image, as AudioMAE does.
        distance_bias: With ``electrode``, lower attention with distance in time and over the head.
        similarity_start: Start attention as a similarity kernel, which shortens the plateau of stage 1.
        gain_free: Divide every window by the root mean square of its visible patches, so that the level of people and
            amplifiers does not matter; an autoencoder multiplies its predictions by it.
        checkpointing: Recompute activations in the backward pass to save memory.

    Raises:
        ConfigError: The sizes do not fit one another.
    """

    def __init__(
        self,
        patch: Patch = (4, 16),
        width: int = 64,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        position: Literal["electrode", "sincos2d"] = "electrode",
        distance_bias: bool = True,
        similarity_start: bool = True,
        gain_free: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if width % heads or width % 4:
            raise ConfigError(
                f"width={width} is not a multiple of heads={heads} and of 4 (model.encoder.width, model.encoder.heads)"
            )
        if min(patch) < 1:
            raise ConfigError(f"patch={list(patch)} needs at least one electrode and one sample (model.encoder.patch)")
        self.config: dict[str, Any] = {
            "patch": list(patch), "width": width, "depth": depth, "heads": heads, "mlp_ratio": mlp_ratio,
            "position": position, "distance_bias": distance_bias, "similarity_start": similarity_start,
            "gain_free": gain_free, "checkpointing": checkpointing,
        }  # fmt: skip
        self.patch: Patch = (patch[0], patch[1])
        self.samples = self.patch[1]
        self.width, self.gain_free = width, gain_free
        self.embedding = nn.Linear(patch[0] * patch[1], width)
        self.code: nn.Module = CODES[position](width, self.patch)
        self.distance = DistanceBias(heads) if distance_bias and position == "electrode" else None
        self.blocks = Blocks(width, depth, heads, mlp_ratio, checkpointing)
        # without weights of its own, because stage 1 decodes from its input
        self.norm = LayerNorm(width, elementwise_affine=False)
        if similarity_start:
            start_as_similarity(self.blocks)

    def layout(self, eeg: Tensor, positions: Tensor | None = None, channel_mask: Tensor | None = None) -> Layout:
        """Positions of the patches of windows.

        Args:
            eeg: Scaled EEG, (B, C, T); only its shape counts.
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.

        Raises:
            ValueError: There are not as many positions as channels.
        """
        if positions is not None and positions.shape[:2] != eeg.shape[:2]:  # others might broadcast
            raise ValueError(f"positions {tuple(positions.shape)} do not go with EEG {tuple(eeg.shape)}")
        electrodes, samples = self.patch
        groups, steps = -(-eeg.shape[1] // electrodes), eeg.shape[2] // samples
        if channel_mask is None and eeg.shape[1] % electrodes:  # the last patch is padded
            channel_mask = eeg.new_ones(eeg.shape[:2], dtype=torch.bool)
        code = self.code(positions, channel_mask, groups, steps)
        code = code.to(eeg.device, self.embedding.weight.dtype)  # a fixed code has its own
        places = count = None
        if self.distance is not None and positions is not None:
            places = patch_places(positions, channel_mask, self.patch, steps)
        if channel_mask is not None:
            grouped = rearrange(pad_channels(channel_mask.float(), electrodes), "b (g e) -> b g e", e=electrodes)
            count = grouped.sum(-1).repeat_interleave(steps, dim=1)
        return Layout(rearrange(code, "b g l d -> b (g l) d"), places, count, (groups, steps))

    def embed(self, patches: Tensor, codes: Tensor, electrodes: Tensor | None) -> tuple[Tensor, Tensor]:
        """Turn patches into tokens.

        Args:
            patches: Visible patches, (B, K, P).
            codes: Their position codes, (B or 1, K, D).
            electrodes: Number of electrodes of each that exist, 0 for padding, (B, K); None if all do.

        Returns:
            Tokens, (B, K, D), and the root mean square of each window's patches, (B, 1, 1), that they were divided
            by; 1 if ``gain_free`` is off.
        """
        if not self.gain_free:
            return self.embedding(patches) + codes, patches.new_ones(len(patches), 1, 1)
        seen = patches.float().square().sum(-1)
        if electrodes is None:
            power = seen.mean(1) / patches.shape[-1]
        else:
            power = (seen * (electrodes > 0)).sum(1) / (electrodes.sum(1) * self.patch[1]).clamp(min=1)
        gain = power.sqrt().clamp(min=QUIET)[:, None, None]
        gain = gain.to(patches.dtype)
        return self.embedding(patches / gain) + codes, gain

    def transform(self, tokens: Tensor, places: Tensor | None, exists: Tensor | None) -> Tensor:
        """Transform tokens, (B, K, D), by the blocks, without the final ``norm``."""
        bias = None if self.distance is None or places is None else self.distance(places, places)
        out: Tensor = self.blocks(tokens, attention_mask(bias, exists))
        return out

    def forward(self, eeg: Tensor, positions: Tensor | None = None, channel_mask: Tensor | None = None) -> Tensor:
        """Compute the tokens of windows of EEG; arguments as of ``layout``.

        Returns:
            Tokens, (B, L, G, D): L time steps, G electrode groups; zero where a group has no electrode.
        """
        if _one_montage(positions, channel_mask):  # its codes and distances hold for the whole batch
            assert positions is not None
            layout = self.layout(eeg[:1], positions[:1])
        else:
            layout = self.layout(eeg, positions, channel_mask)
        patches = rearrange(patchify(silence(eeg, channel_mask), self.patch), "b g l p -> b (g l) p")
        tokens, _ = self.embed(patches, layout.codes, layout.electrodes)
        tokens = self.norm(self.transform(tokens, layout.places, layout.exists))
        if layout.exists is not None:
            tokens = tokens * layout.exists[..., None]
        represented: Tensor = rearrange(tokens, "b (g l) d -> b l g d", l=layout.grid[1])
        return represented

    def pool(self, tokens: Tensor, channel_mask: Tensor | None = None) -> Tensor:
        """Mean, (B, D), of the tokens of ``forward`` that exist, (B, L, G, D)."""
        if channel_mask is None:
            mean: Tensor = tokens.mean((1, 2))
            return mean
        grouped = pad_channels(channel_mask.float(), self.patch[0])
        groups = rearrange(grouped, "b (g e) -> b g e", e=self.patch[0]).any(-1).sum(1)
        pooled: Tensor = tokens.sum((1, 2)) / (groups * tokens.shape[1]).clamp(min=1)[:, None]
        return pooled


def _one_montage(positions: Tensor | None, channel_mask: Tensor | None) -> bool:
    """Whether all windows have the same electrodes; False on a GPU, where the comparison would wait for the device."""
    if positions is None or channel_mask is not None or positions.device.type != "cpu":
        return False
    return len(positions) > 1 and bool((positions == positions[:1]).all())


def silence(eeg: Tensor, channel_mask: Tensor | None) -> Tensor:
    """Set channels that do not exist to zero: EEG (B, C, T), mask (B, C)."""
    return eeg if channel_mask is None else eeg.masked_fill(~channel_mask[..., None], 0)
