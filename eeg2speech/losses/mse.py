"""Mean squared errors: of the masked autoencoder and of the diffusion."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Prediction = Literal["epsilon", "v_prediction"]
"""Target of a UNet: the noise, or the velocity (Salimans and Ho 2022, arXiv 2202.00512)."""


def masked_mse(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error over the hidden patches only.

    Args:
        prediction: Reconstructed patches, (B, M, P).
        target: True patches, (B, M, P).
        weight: 1 where a sample counts, 0 where an electrode or patch does not exist, (B, M, P).

    Returns:
        A scalar; 0 if no sample counts.
    """
    return ((prediction - target).square() * weight).sum() / weight.sum().clamp(min=1)


class DiffusionLoss(nn.Module):
    """Squared error of the UNet's prediction, weighted by the noise level of the latents.

    Reference: Hang et al. 2023, Efficient diffusion training via min-SNR weighting strategy (ICCV; arXiv 2303.09556).

    Args:
        gamma: Signal-to-noise ratio above which weights are constant; 0 weights all times equally.
    """

    def __init__(self, gamma: float = 5.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, signal: Tensor, prediction: Prediction
    ) -> Tensor:
        """Compute the loss, a scalar.

        Args:
            predicted: Output of the UNet, (B, ...).
            latents: Without noise, (B, ...).
            noise: The added noise, (B, ...).
            signal: Fraction of the power of the noisy latents that is signal, in (0, 1), (B,).
            prediction: Target of the UNet.
        """
        share = signal.view(-1, *[1] * (latents.dim() - 1)).to(latents)
        target = noise if prediction == "epsilon" else share.sqrt() * noise - (1 - share).sqrt() * latents
        error = (predicted.float() - target.float()).square().flatten(1).mean(1)
        if self.gamma:
            error = error * self.weight(signal.to(error), prediction)
        return error.mean()

    def weight(self, signal: Tensor, prediction: Prediction) -> Tensor:
        """Weight of each window, (B,), equivalent to min(SNR, ``gamma``) on the error of the latents without noise."""
        ratio = signal / (1 - signal)
        limited = ratio.clamp(max=self.gamma)
        return limited / ratio if prediction == "epsilon" else limited / (ratio + 1)
