from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.mel import BANDS, FFT, FLOOR, HOP, PAD, slaney_bank

LOUDEST = 4.0
"""Log mel values above this are cut: no sound at a peak of 1 reaches it, only a model that diverges."""
_TINY = 1e-9


class GriffinLim(nn.Module):
    """Turns the log mel spectrograms of ``LogMel`` back into sound without anything learned.

    Magnitudes are the non-negative least squares solution under the mel bank, found by multiplicative updates; phases
    are those that agree between overlapping frames, found by projecting back and forth with momentum. Every clip starts
    from the same random phases, so that a clip does not depend on the batch that it is in.

    Reference: Lee and Seung 2000, Algorithms for non-negative matrix factorization (NIPS); Perraudin et al. 2013, A
    fast Griffin-Lim algorithm (WASPAA).

    Args:
        iterations: Projections for the phases.
        updates: Steps of the least squares.
        momentum: Of the projections, in [0, 1].
        seed: Of the phases at the start.
    """

    window: Tensor
    bank: Tensor
    inverse: Tensor

    def __init__(self, iterations: int = 32, updates: int = 60, momentum: float = 0.99, seed: int = 0) -> None:
        super().__init__()
        self.iterations, self.updates, self.momentum, self.seed = iterations, updates, momentum, seed
        bank = slaney_bank()
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(bank).float(), persistent=False)

    @torch.no_grad()
    def forward(self, log_mel: Tensor) -> Tensor:
        """Turn natural logarithms of band magnitudes, (B, T, 64), into waveforms at 16 kHz, (B, T * 160)."""
        if log_mel.shape[-1] != BANDS:
            raise ValueError(f"{log_mel.shape[-1]} mel bands, needed are {BANDS}")
        if not log_mel.shape[1]:
            return log_mel.new_zeros(len(log_mel), 0, dtype=torch.float32)
        with torch.autocast(log_mel.device.type, enabled=False):
            return self.find_phases(self.magnitudes(log_mel))

    def magnitudes(self, log_mel: Tensor) -> Tensor:
        """Magnitude spectrum, (B, 513, T), whose mel bands come closest to log mel values, (B, T, 64)."""
        quietest = math.log(FLOOR)
        mel = torch.nan_to_num(log_mel.float(), nan=quietest).clamp(quietest, LOUDEST).exp().transpose(1, 2)
        bank = self.bank.float()
        spectrum = (self.inverse.float() @ mel).clamp(min=1e-6)
        wanted = bank.T @ mel
        for _ in range(self.updates):
            spectrum = spectrum * wanted / (bank.T @ (bank @ spectrum) + _TINY)
        return spectrum

    def find_phases(self, magnitudes: Tensor) -> Tensor:
        """Waveform, (B, T * 160), whose spectrum has almost the given magnitudes, (B, 513, T)."""
        frames = magnitudes.shape[-1]
        chance = torch.Generator().manual_seed(self.seed)
        turns = torch.rand(frames, FFT // 2 + 1, generator=chance).T.to(magnitudes.device)
        phases = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
        before = torch.zeros_like(phases)
        weight = self._overlap(self.window.float().square()[None, :, None].expand(1, FFT, frames)).clamp(min=1e-8)
        for _ in range(self.iterations):
            found = self._analyse(self._synthesise(magnitudes * phases, weight))
            phases = found - self.momentum / (1 + self.momentum) * before
            phases = phases / (phases.abs() + _TINY)
            before = found
        return self._synthesise(magnitudes * phases, weight)[:, PAD:-PAD]

    def _analyse(self, wave: Tensor) -> Tensor:
        return torch.stft(wave, FFT, HOP, window=self.window.float(), center=False, return_complex=True)

    def _synthesise(self, spectrum: Tensor, weight: Tensor) -> Tensor:
        frames = torch.fft.irfft(spectrum, n=FFT, dim=1) * self.window.float()[:, None]
        return self._overlap(frames) / weight

    def _overlap(self, frames: Tensor) -> Tensor:
        """Add up overlapping frames, (B, 1024, T), to waveforms with their margins, (B, T * 160 + 864)."""
        samples = (frames.shape[-1] - 1) * HOP + FFT
        return F.fold(frames, (1, samples), (1, FFT), stride=(1, HOP))[:, 0, 0]
