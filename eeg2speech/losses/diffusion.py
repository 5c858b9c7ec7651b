from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Prediction = Literal["epsilon", "v_prediction"]
"""What a UNet predicts: the noise, or the velocity (Salimans and Ho 2022, arXiv 2202.00512)."""


class DiffusionLoss(nn.Module):
    """Squared error of what the UNet predicts, weighted by how noisy the latents were.

    Reference: Hang et al. 2023, Efficient diffusion training via min-SNR weighting strategy (ICCV; arXiv 2303.09556).

    Args:
        gamma: Signal-to-noise ratio from which on weights stop growing; 0 weighs all times alike.
    """

    def __init__(self, gamma: float = 5.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, signal: Tensor, prediction: Prediction
    ) -> Tensor:
        """Compare.

        Args:
            predicted: Output of the UNet, (B, ...).
            latents: Without noise, (B, ...).
            noise: That was added, (B, ...).
            signal: Share of the signal's power in the noisy latents, in (0, 1), (B,).
            prediction: What was predicted.
        """
        share = signal.view(-1, *[1] * (latents.dim() - 1)).to(latents)
        target = noise if prediction == "epsilon" else share.sqrt() * noise - (1 - share).sqrt() * latents
        error = (predicted.float() - target.float()).square().flatten(1).mean(1)
        if self.gamma:
            error = error * self.weight(signal.to(error), prediction)
        return error.mean()

    def weight(self, signal: Tensor, prediction: Prediction) -> Tensor:
        """Weight of each window, (B,): that of the error of the latents without noise is SNR up to ``gamma``."""
        ratio = signal / (1 - signal)
        limited = ratio.clamp(max=self.gamma)
        return limited / ratio if prediction == "epsilon" else limited / (ratio + 1)
