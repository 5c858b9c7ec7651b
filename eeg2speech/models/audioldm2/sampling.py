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
from eeg2speech.models.audioldm2.speech import SpeechDiffusion


@dataclass(frozen=True)
class Sampler:
    """Solver of the diffusion, with its settings.

    Reference: Lu et al. 2022, DPM-Solver++ (arXiv 2211.01095); Song et al. 2021, Denoising diffusion implicit models
    (ICLR); Ho and Salimans 2022, Classifier-free diffusion guidance (arXiv 2207.12598).

    Args:
        solver: ``dpm`` for DPM-Solver++ of second order, ``ddim`` for the solver of AudioLDM 2, which used 200 steps.
        steps: Steps of the solver; each evaluates the UNet once, or twice if ``guidance`` is not 1.
        guidance: Scale of classifier-free guidance; 1 for none.

    Raises:
        ConfigError: A setting is out of its range.
    """

    solver: Literal["dpm", "ddim"] = "dpm"
    steps: int = 20
    guidance: float = 3.5

    def __post_init__(self) -> None:
        if self.solver not in ("dpm", "ddim"):
            raise ConfigError(f"solver={self.solver!r} is none of dpm, ddim (sampler.solver)")
        if not isinstance(self.steps, int) or self.steps < 1 or not 0 <= self.guidance < math.inf:
            raise ConfigError(
                f"steps={self.steps} must be 1 or more and guidance={self.guidance} 0 or more (sampler.steps, "
                "sampler.guidance)"
            )

    @torch.no_grad()
    def sample(self, model: SpeechDiffusion, loa: Tensor | None, steps: int, seeds: Sequence[int]) -> Tensor:
        """Draw the latents of one clip for every seed; a clip does not depend on the others.

        Args:
            model: Predicts noise or velocity.
            loa: LOA tokens of the clips, (B, L, F, D); None to sample without a condition.
            steps: Steps of 160 ms, L.
            seeds: Of each clip, B of them.

        Returns:
            Scaled latents, (B, 8, 4 L, 16).
        """
        scheduler = self._scheduler(model)
        shape = model.latent_shape(steps)
        device = model.device
        latents = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        latents = latents.to(device) * scheduler.init_noise_sigma
        guided = loa is not None and self.guidance != 1
        conditions = model.conditions(loa, len(seeds), steps, guided)
        for time in scheduler.timesteps:
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
