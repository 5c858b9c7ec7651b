"""A filter of EEG after which its spectrum is almost flat."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 100
"""EEG samples per second."""
TAPS = 161
"""Length of the filter, 1.6 s."""
FLOOR, FLOOR_BAND, LOWEST = 0.3, (25.0, 35.0), 0.6
"""Share of the mean power in a band in hertz that is added to all power, and the lowest frequency that is kept."""


class SpectralFlattening(nn.Module):
    """A linear filter, the same for all channels, that divides EEG by its mean spectrum; at first the identity."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", F.one_hot(torch.tensor(TAPS // 2), TAPS).float())

    @property
    def fitted(self) -> bool:
        """Whether the filter is not the identity."""
        return int(self.kernel.count_nonzero()) > 1

    def fit(self, power: Tensor) -> None:
        """Fit the filter to the mean power spectrum of training windows, (F,), from 0 Hz to 50 Hz."""
        # on a grid that the filter resolves, however long the windows are
        power = F.interpolate(power.double()[None, None], size=TAPS, mode="linear", align_corners=True)[0, 0]
        frequency = torch.linspace(0, RATE / 2, TAPS, dtype=torch.float64)
        low, high = FLOOR_BAND
        floor = FLOOR * power[(frequency >= low) & (frequency <= high)].mean()
        gain = (power + floor).rsqrt() * (frequency >= LOWEST)
        response = torch.fft.irfft(gain).roll(TAPS // 2)[:TAPS] * torch.hann_window(TAPS, False, dtype=torch.float64)
        flat = torch.fft.rfft(response, 2 * (TAPS - 1)).abs().square() * power
        self.kernel.copy_(response / flat.mean().sqrt() * power.mean().sqrt())  # the level stays

    def forward(self, eeg: Tensor) -> Tensor:
        """Filter windows, (B, C, T)."""
        with torch.autocast(eeg.device.type, enabled=False):
            kernel = self.kernel.to(eeg.dtype).flip(0)[None, None]
            return F.conv1d(eeg.flatten(0, 1)[:, None], kernel, padding=TAPS // 2).view_as(eeg)
