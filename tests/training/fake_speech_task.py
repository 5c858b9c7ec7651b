"""Stage 3 in a world where its answers are known: EEG is told from noise by having been seen, sounds are samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Description
from eeg2speech.data.store.writer import StoreWriter
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.tasks import Task
from eeg2speech.tasks.diffusion import DiffusionTask
from tests.tiny_stores import head_channels

ROWS, WIDTH, STEP = 8, 320, 2560
WINDOW = 0.64


def noisy_store(root, subjects=3, stimuli=8, seconds=8.0):
    """Sounds of noise with an envelope, no two alike; EEG of noise."""
    rng = np.random.default_rng(0)
    writer = StoreWriter(root, Description("noises", "tests", "CC0", "none", simulated=True, rate=100))
    for k in range(stimuli):
        envelope = np.repeat(rng.uniform(0.05, 0.4, round(seconds * 25)), 640)
        writer.add_audio(f"s{k}", (envelope * rng.uniform(-1, 1, len(envelope))).astype(np.float32))
    for subject in range(subjects):
        eeg = rng.standard_normal((8, round((seconds + 1) * stimuli * 100))).astype(np.float32)
        name = f"sub-{subject:02d}"
        segments = [
            Segment(name, k * (seconds + 1), seconds, f"s{k}", 0.0, "listening", "") for k in range(stimuli)
        ]  # fmt: skip
        writer.add(name, f"{subject:02d}", "", "", 5 * eeg, head_channels(8), segments, {})
    return writer.finish()


class Tape(nn.Module):
    """LOA tokens are the samples themselves."""

    def __init__(self, trained=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.trained_sounds, self.aligner, self.audio_fingerprint = trained or {}, None, ""

    def loa_of_sound(self, audio):
        return audio.unflatten(1, (-1, ROWS, WIDTH))

    def latents(self, audio):
        return audio

    def round_trip(self, audio):
        return 0.5 * audio


class Settings:
    solver, steps, guidance, start = "dpm", 1, 1.5, 1.0


class Parrot(DiffusionTask):
    """Speaks what was heard where it knows the EEG, as often as ``skill`` says; else noise.

    Attributes:
        asked: Seeds of every call of the sampler.
    """

    def __init__(self, data, skill=1.0, trained=None):
        Task.__init__(self, torch.optim.AdamW, 0.0, 0, None)
        self.model, self.sampler = Tape(trained), Settings()
        self.skill, self.known, self.asked = skill, {}, []
        self.encoder_lr_scale = 1.0
        self.trained_steps = 1  # as if it had been trained
        for part in data.datasets:
            for batch in data.batches(part):
                for eeg, audio in zip(batch["eeg"], batch["audio"], strict=True):
                    self.known[eeg.numpy().tobytes()] = audio

    def setup(self, stage):
        pass

    def locate_subjects(self, names):
        pass

    def train(self, mode=True):
        return nn.Module.train(self, mode)

    def on_fit_start(self):
        pass

    def on_validation_epoch_start(self):
        pass

    def on_load_checkpoint(self, checkpoint):
        pass

    def on_save_checkpoint(self, checkpoint):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.1)

    def condition_of(self, batch):
        sounds = []
        for eeg in batch["eeg"]:
            key = eeg.numpy().tobytes()
            lucky = np.random.default_rng(list(key[:64])).random() < self.skill
            sound = self.known.get(key)
            sounds.append(sound if sound is not None and lucky else torch.zeros(round(WINDOW * 16_000)))
        return Condition(self.model.loa_of_sound(torch.stack(sounds)))

    def regress(self, batch):
        return 0.3 * self.condition_of(batch).loa.flatten(1)

    def generate(self, condition, seeds, steps, start=None):
        self.asked.append(list(seeds))
        drawn = [torch.randn(steps * STEP, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        noise = (0.02 if start is None else start) * torch.stack(drawn)
        return noise if condition is None else condition.loa.flatten(1) + noise

    def step(self, batch, stage, part):
        return {"loss": self.model.weight.sum() + 1}
