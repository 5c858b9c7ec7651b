"""AudioMAE's encoder, and its weights from the hub or from a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from einops import rearrange
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from eeg2speech.audio.fbank import BANDS, Fbank
from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.models.audio.encoder import PATCH, STEP, AudioEncoder
from eeg2speech.models.eeg.transformer import LayerNorm
from eeg2speech.models.lora import add_adapters
from eeg2speech.models.registry import register
from eeg2speech.models.weights import HUB, from_hub, read_weights

FRAMES = 1024
"""Frames of 10 ms that AudioMAE was trained on."""
FILE = "model.safetensors"
_DROPPED = ("decoder_", "mask_token", "head.")
"""Prefixes of the names of weights that only pretraining or classification needs."""


@register
class AudioMAE(AudioEncoder):
    """AudioMAE's encoder, a ViT-B/16 over spectrograms of up to 10.24 s.

    Shorter sounds take the first position codes. They are not padded, because the padding would be attended to.

    Reference: Huang et al. 2022, Masked autoencoders that listen (NeurIPS).

    Args:
        weights: ``hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m``, a folder with ``model.safetensors``, a
            safetensors file or the authors' ``pretrained.pth``; unset: random.
        trainable: Weights that are trained: ``none``, those of the ``last`` blocks, ``lora`` adapters on the attention
            of every block, or ``all``. Position codes are fixed, as in pretraining.
        last: How many blocks ``last`` trains.
        rank: Of the adapters.
        blocks: Blocks, from 0, whose normed outputs are averaged into the tokens; unset: the last one. AudioLDM 2 takes
            9, 10 and 11.
        width: Features of a token, D; the pretrained model's by default, as depth and heads are.
        depth: Transformer blocks.
        heads: Attention heads.

    Raises:
        ConfigError: Settings do not fit one another, the hub cannot be reached, or peft is not installed.
        DataError: The weights are missing, damaged or of another model.
    """

    rows = BANDS // PATCH
    window = FRAMES / 100

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
        """Load pretrained weights, all or nothing; argument and errors as of the constructor."""
        state = read_audiomae(weights)
        names = {name.replace(".base_layer.", "."): name for name in self.vit.state_dict()}  # adapters rename weights
        adapters = {k: v for k, v in self.vit.state_dict().items() if ".lora_" in k}
        load_into(self.vit, {names.get(k, k): v for k, v in state.items()} | adapters, str(weights))
        self.source = str(weights)

    def encode(self, audio: Tensor) -> Tensor:
        """Compute tokens; see ``AudioEncoder.forward``."""
        wanted = set(self.blocks)
        normed = [self.vit.norm(out) for i, out in self._outputs(audio, self.blocks[-1]) if i in wanted]
        return self._grid(torch.stack(normed).mean(0) if len(normed) > 1 else normed[0])

    def each_block(self, audio: Tensor) -> list[Tensor]:
        """Normed output of every block; see ``AudioEncoder.each_block``."""
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
            places = "|".join(str(block) for block in range(used))
            add_adapters(vit, rf"blocks\.({places})\.attn\.(qkv|proj)", rank)
            return
        if self.trainable == "none":
            return
        first = used - last if self.trainable == "last" else 0
        for part in (*vit.blocks[first:used], vit.norm):  # unused blocks would get no gradient
            part.requires_grad_(True)
        if self.trainable == "all":
            vit.patch_embed.requires_grad_(True)
            assert isinstance(vit.cls_token, Tensor)
            vit.cls_token.requires_grad_(True)


def read_audiomae(weights: str | Path) -> dict[str, Tensor]:
    """Read the weights of AudioMAE's encoder under timm's names; argument and errors as of ``AudioMAE``."""
    name = str(weights)
    file = _download(name.split(":", 1)[1]) if name.startswith(HUB) else _find(expanded(name))
    # the authors' training script stored its command line beside the weights
    state = read_weights(file, allowed=(argparse.Namespace,))
    kept = {name: value for name, value in state.items() if not name.startswith(_DROPPED)}
    # fine-tuned models apply the final norm after averaging, and call it fc_norm
    return {f"norm.{name[8:]}" if name.startswith("fc_norm.") else name: value for name, value in kept.items()}


def _find(path: Path) -> Path:
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            f"{file}: no such file; name a folder with {FILE}, a safetensors file, or an id on the hub as "
            "hf_hub:OWNER/NAME"
        )
    return file


def _download(name: str) -> Path:
    from huggingface_hub import hf_hub_download  # takes a third of a second, and local files do not need it

    remedy = f"download its {FILE} once where there is a network and name the local folder instead"
    return from_hub(f"hf_hub:{name}", lambda: hf_hub_download(name, FILE), remedy)
