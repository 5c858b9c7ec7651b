"""A model of stage 3 that is quick and says what it was told: a function of its EEG and of the seed of each clip."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from eeg2speech.models.audioldm2.condition import Condition

FRAMES = 4


class StubSpeech(nn.Module):
    """Louder where there is more EEG; the subject and the seed are audible, too."""

    def __init__(self, any_montage: bool = False) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.aligner = SimpleNamespace(any_montage=any_montage)
        self.heard: list[torch.Tensor] = []
        self.batches: list[int] = []

    @property
    def device(self):
        return self.gain.device

    def eeg_steps(self, eeg, positions, channel_mask, subject):
        self.heard.append(subject)
        self.batches.append(len(eeg))
        steps = eeg.unflatten(-1, (-1, 16)).abs().mean((1, 3))  # (B, L)
        return self.gain * (steps + 10 * (subject[:, None] + 1))[..., None]

    def condition(self, steps):
        return Condition(steps[..., None].expand(-1, -1, 8, 4))

    def mel_of_steps(self, steps):
        return steps.repeat_interleave(16, 1)

    def vocode(self, spectrum):
        level = 0.1 * spectrum.mean(2).repeat_interleave(160, -1)
        return 0.5 * torch.tanh(level) * torch.sin(2 * torch.pi * 110 * torch.arange(level.shape[-1]) / 16_000)

    def loa_of_sound(self, audio):
        return audio.unflatten(-1, (-1, 2560)).abs().mean(2)[..., None, None].expand(-1, -1, 8, 4)

    def waveform(self, latents):
        level = latents.mean((1, 3)).repeat_interleave(640, -1)
        time = torch.arange(level.shape[-1]) / 16_000
        return 0.5 * torch.tanh(level) * torch.sin(2 * torch.pi * 220 * time)

    def round_trip(self, audio):
        return 0.5 * audio / audio.abs().amax(-1, keepdim=True).clamp(min=1e-8)


class StubSampler:
    def __init__(self, solver="dpm", steps=20, guidance=1.5, start=1.0) -> None:
        self.solver, self.steps, self.guidance, self.start = solver, steps, guidance, start

    def sample(self, model, condition, steps, seeds):
        shape = (8, FRAMES * steps, 16)
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        told = condition.loa.mean((2, 3)).repeat_interleave(FRAMES, 1)
        return noise + told[:, None, :, None] / 20
