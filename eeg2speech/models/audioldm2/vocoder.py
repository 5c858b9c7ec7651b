"""The small vocoder of components that this project trains."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.mel import BANDS, FFT, HOP, PAD


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
    frames = torch.fft.irfft(spectrum, n=FFT, dim=-1) * window
    length = frames.shape[1] * HOP + 2 * PAD

    def overlap_add(frames: Tensor) -> Tensor:
        return F.fold(frames.transpose(1, 2), (1, length), (1, FFT), stride=(1, HOP))[:, 0, 0]

    weight = overlap_add(window.square().expand(1, frames.shape[1], FFT))
    sound: Tensor = overlap_add(frames) / weight.clamp(min=1e-3)
    return sound[:, PAD : length - PAD]
