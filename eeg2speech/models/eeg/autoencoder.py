"""The masked autoencoder of stage 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from eeg2speech.models.eeg.decoders import Decoder, gather_tokens
from eeg2speech.models.eeg.encoder import ViTEncoder, silence
from eeg2speech.models.eeg.patches import Masked, MaskKind, choose, draw_noise, pad_channels, patchify, unpatchify


@dataclass
class Reconstruction:
    """Output of a masked autoencoder for a batch.

    Attributes:
        prediction: Predicted patches, (B, M, P).
        target: True patches, (B, M, P).
        weight: 1 for samples of electrodes that exist, else 0, (B, M, P).
        masked: Which patches were visible and which hidden.
        gain: Factor of the predictions, (B, 1, 1): the root mean square of the visible patches, or 1.
    """

    prediction: Tensor
    target: Tensor
    weight: Tensor
    masked: Masked
    gain: Tensor


class MaskedAutoencoder(nn.Module):
    """Hides most patches of an image, encodes the others and predicts the hidden ones.

    Reference: He et al. 2021, Masked autoencoders are scalable vision learners (arXiv 2111.06377).

    Args:
        encoder: Encodes the visible patches.
        decoder: Predicts the hidden patches.
        normalize_target: Predict patches with zero mean and unit variance each, as AudioMAE does.
    """

    def __init__(self, encoder: ViTEncoder, decoder: nn.Module, normalize_target: bool = False) -> None:
        super().__init__()
        self.encoder, self.decoder, self.normalize_target = encoder, decoder, normalize_target
        self.as_decoder.build(encoder.width, encoder.patch[0] * encoder.patch[1])

    @property
    def as_decoder(self) -> Decoder:
        """The decoder, typed by its protocol."""
        return self.decoder  # type: ignore[return-value]

    def forward(
        self,
        eeg: Tensor,
        positions: Tensor | None,
        channel_mask: Tensor | None,
        ratio: float,
        kind: MaskKind = "random",
        seeds: list[int] | None = None,
    ) -> Reconstruction:
        """Hide patches and predict them.

        Args:
            eeg: Scaled EEG, (B, C, T).
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.
            ratio: See ``choose``.
            kind: See ``draw_noise``.
            seeds: See ``draw_noise``.
        """
        if channel_mask is None and eeg.shape[1] % self.encoder.patch[0]:
            channel_mask = eeg.new_ones(eeg.shape[:2], dtype=torch.bool)  # the padding is not to be predicted
        encoder = self.encoder
        layout = encoder.layout(eeg, positions, channel_mask)
        groups, steps = layout.grid
        noise = draw_noise((len(eeg), groups, steps), kind, seeds, eeg.device)
        masked = choose(noise, ratio, layout.exists)
        if self.training:
            masked = masked.first_hidden(self.as_decoder.predicted)
        patches = rearrange(patchify(silence(eeg, channel_mask), encoder.patch), "b g l p -> b (g l) p")
        # only visible patches go into the encoder, and into the gain that they are divided by
        codes = gather_tokens(layout.codes.expand(len(eeg), -1, -1), masked.visible)
        places = None if layout.places is None else gather_tokens(layout.places, masked.visible)
        electrodes = None
        if layout.electrodes is not None and masked.visible_exists is not None:
            electrodes = layout.electrodes.gather(1, masked.visible) * masked.visible_exists
        tokens, gain = encoder.embed(gather_tokens(patches, masked.visible), codes, electrodes)
        encoded = encoder.transform(tokens, places, masked.visible_exists)
        prediction = self.as_decoder(encoded, layout, masked).float()
        target = gather_tokens(patches, masked.hidden).float()
        weight = self._weight(channel_mask, masked, groups, steps, target)
        if self.normalize_target:  # normalised patches have no level
            target, gain = normalize_patches(target, weight), torch.ones_like(gain)
        return Reconstruction(prediction * gain, target, weight, masked, gain)

    def paint(self, eeg: Tensor, result: Reconstruction) -> tuple[Tensor, Tensor]:
        """Replace hidden patches of the image by predictions.

        Args:
            eeg: Input of ``forward``, (B, C, T).
            result: Output of ``forward`` in evaluation mode, where all hidden patches are predicted.

        Returns:
            The image with predictions, (B, C, T), and a mask of the replaced samples, (B, C, T).
        """
        patches = patchify(eeg, self.encoder.patch)
        groups = patches.shape[1]
        flat = rearrange(patches, "b g l p -> b (g l) p").clone()
        hidden = torch.zeros_like(flat)
        index = result.masked.hidden[..., None].expand_as(result.prediction)
        prediction, seen = result.prediction.to(flat.dtype), result.weight > 0
        flat = flat.scatter(1, index, torch.where(seen, prediction, flat.gather(1, index)))
        hidden = hidden.scatter(1, index, seen.to(flat.dtype))
        images = (
            unpatchify(rearrange(x, "b (g l) p -> b g l p", g=groups), self.encoder.patch, eeg.shape[1])
            for x in (flat, hidden)
        )
        painted, where = images
        return painted, where > 0

    def _weight(self, channel_mask: Tensor | None, masked: Masked, groups: int, steps: int, target: Tensor) -> Tensor:
        electrodes, samples = self.encoder.patch
        if channel_mask is None:
            return torch.ones_like(target)
        real = pad_channels(channel_mask.to(target.dtype), electrodes)
        real = rearrange(real, "b (g e) -> b g e", e=electrodes).repeat_interleave(samples, dim=-1)
        weight = gather_tokens(real.repeat_interleave(steps, dim=1), masked.hidden)
        return weight if masked.hidden_exists is None else weight * masked.hidden_exists[..., None]


def normalize_patches(patches: Tensor, weight: Tensor) -> Tensor:
    """Give every patch, (B, M, P), zero mean and unit variance over its samples of weight 1."""
    count = weight.sum(-1, keepdim=True).clamp(min=1)
    mean = (patches * weight).sum(-1, keepdim=True) / count
    variance = ((patches - mean).square() * weight).sum(-1, keepdim=True) / count
    return (patches - mean) / (variance + 1e-6).sqrt() * weight
