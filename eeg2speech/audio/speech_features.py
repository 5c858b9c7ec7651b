"""Speech features that linear filters relate to EEG: envelope, onsets and mel bands."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.mel_filters import COMPRESSION, FFT, HOP, mel_filters
from eeg2speech.audio.waveform import Waveform

BANDS = 16
NAMES = ("envelope", "onset", *(f"mel{band}" for band in range(BANDS)))
"""Rows of a feature array."""


class SpeechFeatures(nn.Module):
    """Compressed power of sounds at 100 Hz; an onset is a rise of the envelope, else zero.

    Nothing is normalised over a sound, so that a window has the same features as within a longer sound, except for
    16 ms at its borders.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FFT, periodic=False), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters()), persistent=False)

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """Features of waveforms at 16 kHz in [-1, 1], (B, S) to (B, len(NAMES), frames); the last may be partial."""
        with torch.autocast(audio.device.type, enabled=False):
            frames = -(-audio.shape[1] // HOP)
            padded = F.pad(audio.float(), (FFT // 2, frames * HOP - audio.shape[1] + FFT // 2))
            spectrum = torch.stft(padded, FFT, HOP, window=self.window.float(), center=False, return_complex=True)
            power = (self.filters.float() @ torch.view_as_real(spectrum[..., :frames]).square().sum(-1)).clamp(min=0)
            envelope = power.mean(1) ** COMPRESSION
            onset = F.pad(envelope.diff(dim=1), (1, 0)).clamp(min=0)
            bands = rearrange(power, "b (f m) t -> b f m t", f=BANDS).mean(2) ** COMPRESSION
        return torch.cat([envelope[:, None], onset[:, None], bands], dim=1)


def speech_features(wave: Waveform) -> NDArray[np.float32]:
    """Features of one sound, (samples,) at 16 kHz to (len(NAMES), frames)."""
    features: NDArray[np.float32] = SpeechFeatures()(torch.from_numpy(np.array(wave, np.float32))[None])[0].numpy()
    return features
