"""Vocoders: from the log mel spectrograms of ``LogMel`` to waveforms, by a small network or without training."""

from __future__ import annotations

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.mel import BANDS, FFT, FLOOR, HOP, PAD, slaney_bank

LOUDEST = 4.0
"""Log mel values above this are clipped: a sound with a peak of 1 does not reach it, only a model that diverges."""
_TINY = 1e-9


class IstftVocoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Small vocoder: ConvNeXt blocks at the frame rate predict a spectrum, whose inverse transform is the waveform.

    Reference: Siuzdak 2024, Vocos (ICLR; arXiv 2306.00814).

    Args:
        model_in_dim: Mel bands.
        width: Features of a frame.
        depth: Number of blocks.
        expansion: Hidden features of a block, as a multiple of the width.
        mean: Approximate mean of log mel spectrograms.
        std: Approximate standard deviation of log mel spectrograms.
    """

    window: Tensor

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        model_in_dim: int = BANDS,
        width: int = 160,
        depth: int = 4,
        expansion: int = 3,
        mean: float = -5.5,
        std: float = 3.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(model_in_dim, width, 7, padding=3)
        self.first_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(_Block(width, expansion * width) for _ in range(depth))
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 2 * (FFT // 2 + 1))
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Turn log mel spectrograms, (B, L, 64), into waveforms at 16 kHz, (B, L * 160)."""
        x = self.embed(((mel - self.config.mean) / self.config.std).transpose(1, 2))
        x = self.first_norm(x.transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        magnitude, phase = self.head(self.last_norm(x)).float().chunk(2, dim=-1)
        spectrum: Tensor = torch.polar(magnitude.clamp(max=6.0).exp(), phase)
        return inverse_stft(spectrum, self.window.float())


class _Block(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Frames, (B, L, width)."""
        mixed = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        changed: Tensor = self.scale * self.narrow(F.gelu(self.widen(mixed)))
        return x + changed


def inverse_stft(spectrum: Tensor, window: Tensor) -> Tensor:
    """Waveforms, (B, L * 160), of the spectra of overlapping frames, (B, L, 513), as ``LogMel`` cuts them."""
    frames = (torch.fft.irfft(spectrum, n=FFT, dim=-1) * window).transpose(1, 2)
    weight = overlap_add(window.square()[None, :, None].expand(1, FFT, frames.shape[-1]))
    sound: Tensor = overlap_add(frames) / weight.clamp(min=1e-3)
    return sound[:, PAD:-PAD]


def overlap_add(frames: Tensor) -> Tensor:
    """Add up overlapping frames, (B, 1024, L), to waveforms with their margins, (B, L * 160 + 864)."""
    samples = (frames.shape[-1] - 1) * HOP + FFT
    return F.fold(frames, (1, samples), (1, FFT), stride=(1, HOP))[:, 0, 0]


class GriffinLim(nn.Module):
    """Vocoder without trained weights.

    Magnitudes are the non-negative least squares solution under the mel bank, found by multiplicative updates; phases
    that agree between overlapping frames are found by alternating projections with momentum. Every clip starts from the
    same random phases, so that it does not depend on the rest of its batch.

    Reference: Lee and Seung 2000, Algorithms for non-negative matrix factorization (NIPS); Perraudin et al. 2013, A
    fast Griffin-Lim algorithm (WASPAA).

    Args:
        iterations: Projections for the phases.
        updates: Updates of the least squares solution.
        momentum: Of the projections, in [0, 1].
        seed: Of the initial phases.
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
        """Magnitude spectrum, (B, 513, T), whose mel bands are closest to log mel values, (B, T, 64)."""
        quietest = math.log(FLOOR)
        mel = torch.nan_to_num(log_mel.float(), nan=quietest).clamp(quietest, LOUDEST).exp().transpose(1, 2)
        bank = self.bank.float()
        spectrum = (self.inverse.float() @ mel).clamp(min=1e-6)
        wanted = bank.T @ mel
        for _ in range(self.updates):
            spectrum = spectrum * wanted / (bank.T @ (bank @ spectrum) + _TINY)
        return spectrum

    def find_phases(self, magnitudes: Tensor) -> Tensor:
        """Waveform, (B, T * 160), whose spectrum has approximately the given magnitudes, (B, 513, T)."""
        frames = magnitudes.shape[-1]
        chance = torch.Generator().manual_seed(self.seed)
        turns = torch.rand(frames, FFT // 2 + 1, generator=chance).T.to(magnitudes.device)
        phases = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
        before = torch.zeros_like(phases)
        weight = overlap_add(self.window.float().square()[None, :, None].expand(1, FFT, frames)).clamp(min=1e-8)
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
        return overlap_add(frames) / weight
