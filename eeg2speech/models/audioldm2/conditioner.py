"""From LOA tokens to the arguments of AudioLDM 2's UNet."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import Tensor, nn

from eeg2speech.models.audio.loa import pool_loa

FRAMES = 4
"""Latent frames of a step of 160 ms."""
BINS = 16
"""Bins of a latent frame."""


class Conditioner(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Turns LOA tokens, of a sound or predicted from EEG, into the conditions of AudioLDM 2's UNet.

    If a token is as wide as the context, the projection starts as the identity: a pretrained UNet then gets the
    conditions that it was trained with.

    Args:
        width: Features of a LOA token, D.
        context: Features of the context stream for LOA.
        second: Features of the context stream for text, which becomes one learned token; unset: there is none.
        pooled: Pool 8 steps x 8 rows of tokens into one, as in the general checkpoints; else keep all tokens.
        concat_channels: Channels that are concatenated with the noisy latents, in time with the EEG; 0 for none.
        rows: Tokens of a step, F.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        width: int,
        context: int,
        second: int | None = None,
        pooled: bool = False,
        concat_channels: int = 0,
        rows: int = 8,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(width, context)
        if width == context:
            nn.init.eye_(self.project.weight)
            nn.init.zeros_(self.project.bias)
        self.null = nn.Parameter(torch.zeros(context))  # AudioLDM 2's token for no condition
        self.text = None if second is None else nn.Parameter(torch.zeros(second))
        self.lay_out = nn.Linear(rows * width, concat_channels * FRAMES * BINS) if concat_channels else None

    def forward(self, loa: Tensor, dropped: Tensor | None = None) -> dict[str, Any]:
        """Make the arguments of the UNet.

        Args:
            loa: Tokens, (B, L, F, D).
            dropped: True for windows without a condition, (B,); None if all have one.

        Returns:
            ``encoder_hidden_states`` (B, N, context), ``encoder_hidden_states_1`` (B, 1, second) if there is a second
            stream, and ``control``, (B, concat_channels, 4 L, 16) or None.
        """
        tokens = pool_loa(loa) if self.config.pooled else rearrange(loa, "b l f d -> b (l f) d")
        context = self.project(tokens)
        control = None
        if self.lay_out is not None:
            laid = self.lay_out(rearrange(loa, "b l f d -> b l (f d)"))
            control = rearrange(laid, "b l (c t m) -> b c (l t) m", t=FRAMES, m=BINS)
        if dropped is not None:
            context = torch.where(dropped[:, None, None], self.null.to(context), context)
            control = None if control is None else control.masked_fill(dropped[:, None, None, None], 0.0)
        made = {"encoder_hidden_states": context, "control": control}
        if self.text is not None:
            made["encoder_hidden_states_1"] = self.text.repeat(len(loa), 1, 1).to(context)
        return made
