from __future__ import annotations

from typing import Any, Literal

from einops import rearrange
from torch import Tensor, nn

from eeg2speech.errors import ConfigError
from eeg2speech.models.patches import Patch, pad_channels, patchify
from eeg2speech.models.positions import ElectrodeCode, SinCosCode
from eeg2speech.models.transformer import Blocks, start_as_similarity

CODES = {"electrode": ElectrodeCode, "sincos2d": SinCosCode}


class ViTEncoder(nn.Module):
    """Vision transformer over patches of an (electrodes x samples) image.

    Channels must be ordered so that neighbours on the head follow one another, as the data module does.

    Reference: Dosovitskiy et al. 2021, An image is worth 16x16 words (arXiv 2010.11929).

    Args:
        patch: Electrodes and samples of a patch.
        width: Features of a token, D.
        depth: Transformer blocks.
        heads: Attention heads; a divisor of the width.
        mlp_ratio: Hidden features of a block's MLP, as a multiple of the width.
        position: ``electrode`` codes 3-D position and time and serves any montage; ``sincos2d`` codes the place in
            the image, as AudioMAE does.
        similarity_start: Start attention as a similarity kernel, which shortens the plateau of stage 1.
        checkpointing: Recompute activations in the backward pass to save memory.

    Raises:
        ConfigError: The sizes do not fit one another.
    """

    def __init__(
        self,
        patch: Patch = (4, 16),
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        mlp_ratio: float = 2.0,
        position: Literal["electrode", "sincos2d"] = "electrode",
        similarity_start: bool = True,
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
            "position": position, "similarity_start": similarity_start, "checkpointing": checkpointing,
        }  # fmt: skip
        self.patch: Patch = (patch[0], patch[1])
        self.width = width
        self.embedding = nn.Linear(patch[0] * patch[1], width)
        self.code: nn.Module = CODES[position](width, self.patch)
        self.blocks = Blocks(width, depth, heads, mlp_ratio, checkpointing)
        if similarity_start:
            start_as_similarity(self.blocks)

    def embed(
        self, eeg: Tensor, positions: Tensor | None = None, channel_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Turn windows into tokens, electrode group by electrode group.

        Args:
            eeg: Scaled EEG, (B, C, T).
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.

        Returns:
            Tokens with their position codes, (B, N, D); the codes alone, (B or 1, N, D); and which patches have an
            electrode, (B, N), or None if all do.

        Raises:
            ValueError: There are not as many positions as channels.
        """
        if positions is not None and positions.shape[:2] != eeg.shape[:2]:  # others might broadcast
            raise ValueError(f"positions {tuple(positions.shape)} do not go with EEG {tuple(eeg.shape)}")
        if channel_mask is not None:  # whatever stands there
            eeg = eeg.masked_fill(~channel_mask[..., None], 0)
        patches = patchify(eeg, self.patch)
        groups, steps = patches.shape[1:3]
        code = self.code(positions, channel_mask, groups, steps)
        code = code.to(eeg.device, self.embedding.weight.dtype)  # a fixed code knows neither
        tokens = rearrange(self.embedding(patches) + code, "b g l d -> b (g l) d")
        exists = None
        if channel_mask is not None:
            grouped = pad_channels(channel_mask.float(), self.patch[0]).bool()
            exists = rearrange(grouped, "b (g e) -> b g e", e=self.patch[0]).any(-1)
            exists = exists.repeat_interleave(steps, dim=1)
        return tokens, rearrange(code, "b g l d -> b (g l) d"), exists

    def forward(self, eeg: Tensor, positions: Tensor | None = None, channel_mask: Tensor | None = None) -> Tensor:
        """Represent windows of EEG with any montage.

        Args:
            eeg: Scaled EEG, (B, C, T).
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.

        Returns:
            Tokens, (B, L, G, D): L time steps, G electrode groups; zero where a group has no electrode.
        """
        tokens, _, exists = self.embed(eeg, positions, channel_mask)
        tokens = self.blocks(tokens, exists)
        if exists is not None:
            tokens = tokens * exists[..., None]
        return rearrange(tokens, "b (g l) d -> b l g d", l=eeg.shape[2] // self.patch[1])

    def pool(self, tokens: Tensor, channel_mask: Tensor | None = None) -> Tensor:
        """Mean of the tokens that exist.

        Args:
            tokens: From ``forward``, (B, L, G, D).
            channel_mask: True where a channel exists, (B, C); None if all do.

        Returns:
            (B, D).
        """
        if channel_mask is None:
            return tokens.mean((1, 2))
        grouped = pad_channels(channel_mask.float(), self.patch[0])
        groups = rearrange(grouped, "b (g e) -> b g e", e=self.patch[0]).any(-1).sum(1)
        return tokens.sum((1, 2)) / (groups * tokens.shape[1]).clamp(min=1)[:, None]
