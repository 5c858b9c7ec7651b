from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.waveform import RATE

FFT, HOP = 1024, 160
"""Samples of a frame and of its Fourier transform (64 ms), and from one frame to the next (10 ms)."""
PAD = (FFT - HOP) // 2
"""Samples that are mirrored at both ends, so that S samples give S // 160 frames."""
BANDS = 64
"""Mel bands."""
FLOOR = 1e-5
"""Least magnitude of a band before the logarithm."""
PEAK = 0.5
"""Largest absolute sample of the sounds that AudioLDM 2 was trained on."""


def slaney_bank(bands: int = BANDS) -> Tensor:
    """Triangular filters of equal area on Slaney's mel scale from 0 to 8000 Hz: linear up to 1 kHz, logarithmic above.

    Reference: Slaney 1998, Auditory toolbox (Interval Research, technical report 1998-010).

    Args:
        bands: How many.

    Returns:
        Weights of the bins of a magnitude spectrum, (bands, 513), in double precision.
    """
    knee = 1000.0  # hertz
    below, above = 200 / 3, math.log(6.4) / 27  # hertz per mel below the knee, natural log of hertz per mel above it
    last = knee / below + math.log(RATE / 2 / knee) / above
    mel = last * torch.arange(bands + 2, dtype=torch.float64) / (bands + 1)
    corners = torch.where(mel < knee / below, mel * below, knee * torch.exp((mel - knee / below) * above))[:, None]
    bins = torch.arange(FFT // 2 + 1, dtype=torch.float64) * RATE / FFT
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0) * 2 / (corners[2:] - corners[:-2])


def level(audio: Tensor) -> Tensor:
    """Remove the mean of waveforms, (B, S), and scale each to a peak of 0.5; silence stays silent."""
    audio = audio - audio.mean(-1, keepdim=True)
    return PEAK * audio / audio.abs().amax(-1, keepdim=True).clamp(min=1e-8)


class LogMel(nn.Module):
    """The log mel spectrogram of AudioLDM 2's autoencoder and vocoder; that of AudioMAE is ``Fbank``.

    Sounds have to be scaled by ``level`` first, as in the training of AudioLDM 2.

    Reference: Kong et al. 2020, HiFi-GAN (NeurIPS); Liu et al. 2024, AudioLDM 2 (IEEE/ACM TASLP 32).
    """

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.register_buffer("bank", slaney_bank().float(), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Turn waveforms at 16 kHz, (B, S), into natural logarithms of band magnitudes, (B, S // 160, 64)."""
        with torch.autocast(audio.device.type, enabled=False):
            padded = F.pad(audio.float()[:, None], (PAD, PAD), mode="reflect")[:, 0]
            spectrum = torch.stft(padded, FFT, HOP, window=self.window.float(), center=False, return_complex=True)
            mel: Tensor = torch.log((self.bank.float() @ spectrum.abs()).clamp(min=FLOOR))
        return mel.transpose(1, 2)
