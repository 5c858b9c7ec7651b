"""Sampling of latents by diffusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.speech import SpeechDiffusion


@dataclass(frozen=True)
class Sampler:
    """Solver of the diffusion, with its settings.

    Reference: Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095); Song et al. 2021, Denoising diffusion implicit models
    (ICLR); Ho and Salimans 2022, Classifier-free diffusion guidance (arXiv 2207.12598); Meng et al. 2022, SDEdit (ICLR)
    for the start.

    Args:
        solver: ``dpm`` for DPM-Solver++ of second order, ``ddim`` for the solver of AudioLDM 2, which used 200 steps.
        steps: Steps of the solver; each evaluates the UNet once, or twice if ``guidance`` is not 1.
        guidance: Scale of classifier-free guidance; 1 for none.
        start: Noise level at which sampling starts, as a fraction of the diffusion time. 1: from noise. Below 1: from
            the spectrogram that linear regression predicts, with noise added; the lower, the closer to the regression
            and the less natural. Sampling starts at the first of the ``steps`` at or below it.

    Raises:
        ConfigError: A setting is out of its range.
    """

    solver: Literal["dpm", "ddim"] = "dpm"
    steps: int = 20
    guidance: float = 3.5
    start: float = 1.0

    def __post_init__(self) -> None:
        if self.solver not in ("dpm", "ddim"):
            raise ConfigError(f"solver={self.solver!r} is none of dpm, ddim (sampler.solver)")
        if not isinstance(self.steps, int) or self.steps < 1 or not 0 <= self.guidance < math.inf:
            raise ConfigError(
                f"steps={self.steps} must be 1 or more and guidance={self.guidance} 0 or more (sampler.steps, "
                "sampler.guidance)"
            )
        if not 0 < self.start <= 1:
            raise ConfigError(f"start={self.start} must be above 0 and at most 1 (sampler.start)")

    @torch.no_grad()
    def sample(self, model: SpeechDiffusion, condition: Condition | None, steps: int, seeds: Sequence[int]) -> Tensor:
        """Draw the latents of one clip for every seed; a clip does not depend on the others.

        Args:
            model: Predicts noise or velocity.
            condition: Of the clips; None to sample without a condition, from noise.
            steps: Steps of 160 ms, L.
            seeds: Of each clip, B of them.

        Returns:
            Scaled latents, (B, 8, 4 L, 16).
        """
        scheduler = self._scheduler(model)
        shape = model.latent_shape(steps)
        device = model.device
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        noise, times_left = noise.to(device), scheduler.timesteps
        if condition is None or condition.latents is None or self.start == 1:
            latents = noise * scheduler.init_noise_sigma
        else:
            first = int((scheduler.timesteps > self.start * scheduler.config.num_train_timesteps).sum())
            times_left = scheduler.timesteps[first:]
            if not len(times_left):
                raise ConfigError(
                    f"start={self.start:g} is below the last of {self.steps} steps; use more steps or a higher start "
                    "(sampler.steps, sampler.start)"
                )
            if self.solver == "dpm":  # DDIM takes the time as an argument
                scheduler.set_begin_index(first)
            latents = scheduler.add_noise(condition.latents, noise, times_left[:1].expand(len(noise)))
        guided = condition is not None and self.guidance != 1
        conditions = model.conditions(None if condition is None else condition.loa, len(seeds), steps, guided)
        for time in times_left:
            scaled = scheduler.scale_model_input(latents, time)
            times = time.to(device).expand(len(scaled) * (2 if guided else 1))
            predicted = model.predict(torch.cat([scaled] * 2) if guided else scaled, times, conditions).float()
            if guided:
                unconditional, conditional = predicted.chunk(2)
                predicted = unconditional + self.guidance * (conditional - unconditional)
            latents = scheduler.step(predicted, time, latents).prev_sample
        sampled: Tensor = latents
        return sampled

    def _scheduler(self, model: SpeechDiffusion) -> Any:
        config = dict(model.scheduler.config)
        if self.solver == "ddim":
            scheduler: Any = DDIMScheduler.from_config(config, clip_sample=False)
        else:
            scheduler = DPMSolverMultistepScheduler.from_config(
                config, algorithm_type="dpmsolver++", solver_order=2, thresholding=False
            )
        scheduler.set_timesteps(self.steps)
        return scheduler
