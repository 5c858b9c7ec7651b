from __future__ import annotations

from torch import Tensor


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
