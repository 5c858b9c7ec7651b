from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.waveform import RATE

WINDOW, HOP, FFT = 400, 160, 512
"""Samples of a frame (25 ms), from one frame to the next (10 ms), and of the Fourier transform."""
EMPHASIS = 0.97
"""Fraction of the previous sample that is subtracted from each sample."""
BANDS = 128
"""Mel bands of AudioMAE."""
LOWEST = 20.0
"""Lower edge of the first band, in hertz; the last one ends at half the rate."""
MEAN, STD = -4.2677393, 4.5689974
"""Mean and standard deviation of log mel energies over AudioSet, as AudioMAE was trained with."""


def mel_bank(bands: int) -> Tensor:
    """Triangular filters from 20 Hz to 8 kHz on Kaldi's mel scale, whose sides are straight in mel, not in hertz.

    Returns:
        Weights in [0, 1] of the bins of a power spectrum, (257, bands), in double precision.
    """

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    first, last = mel(torch.tensor([LOWEST, RATE / 2], dtype=torch.float64))
    corners = first + (last - first) * torch.arange(bands + 2, dtype=torch.float64) / (bands + 1)
    bins = mel(torch.arange(FFT // 2 + 1, dtype=torch.float64) * RATE / FFT)[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


class Fbank(nn.Module):
    """Kaldi's log mel filter bank, scaled as AudioMAE expects it.

    AudioMAE's own front end first subtracts the mean of the waveform. This step is left out, because the mean of every
    frame is subtracted anyway.

    Reference: Povey et al. 2011, The Kaldi speech recognition toolkit (ASRU).

    Args:
        bands: Mel bands, F, from 20 Hz to 8 kHz.
    """

    window: Tensor
    bank: Tensor

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__()
        self.bands = bands
        window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("bank", mel_bank(bands).float(), persistent=False)

    def log_mel(self, audio: Tensor) -> Tensor:
        """Log energies before scaling.

        Args:
            audio: Waveform in [-1, 1] at 16 kHz, (B, S).

        Returns:
            Natural logarithms of energies, (B, 1 + (S - 400) // 160, bands): whole frames only, as Kaldi's
            ``snip_edges``; none for a sound shorter than a frame.
        """
        if audio.shape[-1] < WINDOW:
            return audio.new_zeros(len(audio), 0, self.bands, dtype=torch.float32)
        with torch.autocast(audio.device.type, enabled=False):  # the logarithm of a half precision sum is too coarse
            audio = audio.float()
            # once on the waveform, not frame by frame: only each frame's first sample differs, and the window hides it
            emphasised = F.pad(audio[:, 1:] - EMPHASIS * audio[:, :-1], (1, 0))
            level = (1 - EMPHASIS) * F.avg_pool1d(audio, WINDOW, HOP)[..., None]
            frames = (emphasised.unfold(-1, WINDOW, HOP) - level) * self.window.float()
            spectrum = torch.fft.rfft(F.pad(frames, (0, FFT - WINDOW)))
            power = spectrum.real.square() + spectrum.imag.square()
            energy: Tensor = power @ self.bank.float()
            return energy.clamp(min=torch.finfo(torch.float32).eps).log()

    def forward(self, audio: Tensor) -> Tensor:
        """Turn waveforms in [-1, 1] at 16 kHz, (B, S), into scaled spectrograms, (B, S // 160, bands).

        Frames at the end without enough samples are zeros before scaling, as in AudioMAE.
        """
        energies = self.log_mel(audio)
        missing = audio.shape[-1] // HOP - energies.shape[1]
        return (F.pad(energies, (0, 0, 0, missing)) - MEAN) / (2 * STD)
