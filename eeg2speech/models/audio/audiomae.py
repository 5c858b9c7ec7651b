from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from einops import rearrange
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from eeg2speech.audio.fbank import BANDS, Fbank
from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import ConfigError
from eeg2speech.models.audio.audiomae_weights import read_audiomae
from eeg2speech.models.audio.encoder import PATCH, STEP, AudioEncoder
from eeg2speech.models.eeg.transformer import LayerNorm

FRAMES = 1024
"""Frames of 10 ms that AudioMAE was trained on."""


class AudioMAE(AudioEncoder):
    """AudioMAE's encoder, a ViT-B/16 over spectrograms of up to 10.24 s.

    Shorter sounds take the first position codes. They are not padded: the filling would be attended to.

    Reference: Huang et al. 2022, Masked autoencoders that listen (NeurIPS).

    Args:
        weights: ``hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m``, a folder with ``model.safetensors``, a
            safetensors file or the authors' ``pretrained.pth``; unset: random.
        trainable: What is trained: ``none`` of it, its ``last`` blocks, ``lora`` adapters (Hu et al. 2021, arXiv
            2106.09685) on the attention of every block, or ``all``. Position codes are fixed, as in pretraining.
        last: How many blocks ``last`` trains.
        rank: Of the adapters.
        blocks: Whose normed outputs are averaged into the tokens, from 0; unset: the last's. AudioLDM 2 takes 9, 10
            and 11.
        width: Features of a token, D; the pretrained model's by default, as depth and heads are.
        depth: Transformer blocks.
        heads: Attention heads.

    Raises:
        ConfigError: Settings do not fit one another, the hub cannot be reached, or peft is not installed.
        DataError: The weights are missing, damaged or of another model.
    """

    rows = BANDS // PATCH

    def __init__(
        self,
        weights: str | Path | None = None,
        trainable: Literal["none", "last", "lora", "all"] = "none",
        last: int = 2,
        rank: int = 8,
        blocks: list[int] | None = None,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
    ) -> None:
        super().__init__()
        self.blocks = sorted(set([depth - 1] if blocks is None else blocks))
        if not self.blocks or not set(self.blocks) <= set(range(depth)):
            raise ConfigError(f"blocks={blocks} are not among 0 to {depth - 1} (AudioMAE's blocks)")
        used = self.blocks[-1] + 1
        if trainable == "last" and not 1 <= last <= used:
            raise ConfigError(f"last={last} is not from 1 to the {used} blocks in use (AudioMAE's last)")
        if rank < 1:
            raise ConfigError(f"rank={rank} is below 1 (AudioMAE's rank)")
        self.config = {
            "trainable": trainable, "last": last, "rank": rank, "blocks": self.blocks,
            "width": width, "depth": depth, "heads": heads,
        }  # fmt: skip
        self.width, self.trainable = width, trainable
        self.fbank = Fbank()
        self.vit = VisionTransformer(
            img_size=(FRAMES, BANDS), patch_size=PATCH, in_chans=1, num_classes=0, global_pool="token",
            embed_dim=width, depth=depth, num_heads=heads, norm_layer=LayerNorm,
        )  # fmt: skip
        if weights is not None:
            self.load(weights)
        self._choose_trainable(used, last, rank)
        self.train()

    def load(self, weights: str | Path) -> None:
        """Take over pretrained weights, all or nothing; see ``weights``.

        Raises:
            ConfigError: The hub cannot be reached.
            DataError: The weights are missing, damaged or of another model.
        """
        state = read_audiomae(weights)
        names = {name.replace(".base_layer.", "."): name for name in self.vit.state_dict()}  # as adapters rename them
        adapters = {k: v for k, v in self.vit.state_dict().items() if ".lora_" in k}
        load_into(self.vit, {names.get(k, k): v for k, v in state.items()} | adapters, str(weights))
        self.source = str(weights)

    def encode(self, audio: Tensor) -> Tensor:
        """Do what ``forward`` promises."""
        wanted = set(self.blocks)
        normed = [self.vit.norm(out) for i, out in self._outputs(audio, self.blocks[-1]) if i in wanted]
        return self._grid(torch.stack(normed).mean(0) if len(normed) > 1 else normed[0])

    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Normed output of every block, (B, L, F, D) each, for waveforms at 16 kHz, (B, S); without gradients."""
        with torch.no_grad():
            last = len(self.vit.blocks) - 1
            return [self._grid(self.vit.norm(out)) for _, out in self._outputs(audio, last)]

    def _outputs(self, audio: Tensor, last: int) -> Iterator[tuple[int, Tensor]]:
        """Outputs of the blocks up to ``last``, (B, 1 + L * F, D), not normed."""
        if audio.shape[-1] > FRAMES // PATCH * STEP:
            raise ConfigError(
                f"a window with {audio.shape[-1] / 16_000:g} s of sound is longer than the 10.24 s of AudioMAE "
                "(data.window)"
            )
        vit = self.vit
        patches = vit.patch_embed.proj(self.fbank(audio)[:, None]).flatten(2).transpose(1, 2)
        assert isinstance(vit.cls_token, Tensor)
        assert isinstance(vit.pos_embed, Tensor)
        # time-major: the codes of the first steps come first
        tokens = torch.cat([vit.cls_token.expand(len(audio), -1, -1), patches], dim=1)
        tokens = tokens + vit.pos_embed[:, : tokens.shape[1]]
        for index, block in enumerate(vit.blocks[: last + 1]):
            tokens = block(tokens)
            yield index, tokens

    def _grid(self, tokens: Tensor) -> Tensor:
        grid: Tensor = rearrange(tokens[:, 1:], "b (l f) d -> b l f d", f=self.rows)
        return grid

    def _choose_trainable(self, used: int, last: int, rank: int) -> None:
        vit = self.vit
        vit.requires_grad_(False)
        if self.trainable == "lora":
            _adapt(vit, range(used), rank)
            return
        if self.trainable == "none":
            return
        first = used - last if self.trainable == "last" else 0
        for part in (*vit.blocks[first:used], vit.norm):  # blocks that are not used get no gradient
            part.requires_grad_(True)
        if self.trainable == "all":
            vit.patch_embed.requires_grad_(True)
            assert isinstance(vit.cls_token, Tensor)
            vit.cls_token.requires_grad_(True)


def _adapt(vit: VisionTransformer, blocks: Sequence[int], rank: int) -> None:
    """Put adapters on the attention of blocks, the only weights that are then trained."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            "trainable=lora needs the package peft; install it with `pip install 'eeg2speech[lora]'`"
        ) from error
    places = "|".join(str(block) for block in blocks)
    targets = rf"blocks\.({places})\.attn\.(qkv|proj)"
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), vit)
