"""Speech of the same windows by each arm: from the recording, from EEG, and from what cannot know the sound."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, cast

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics.surrogates import noise

if TYPE_CHECKING:  # diffusers takes seconds, which no other stage should wait for
    from eeg2speech.tasks.diffusion import DiffusionTask

ARMS = ("truth", "round trip", "loa", "eeg", "noise", "another trial", "unconditional")
"""The recording; it through autoencoder and vocoder; speech sampled from its own LOA, the ceiling of any EEG; from EEG;
from noise in place of EEG; from EEG of another trial of the same subject; and from no condition at all."""
SAMPLED = ARMS[2:]
"""Those that the sampler makes."""
NOISE, CLIP = 0x6E6F6973, 0x636C6970  # keys of the noise in place of EEG, and of the sampler's
Rows = NDArray[np.int64]


def diffusion_run(trainer: pl.Trainer, module: pl.LightningModule) -> tuple[DiffusionTask, EEGAudioDataModule] | None:
    """The task and its data where both are of stage 3, else None."""
    from eeg2speech.tasks.diffusion import DiffusionTask

    data = getattr(trainer, "datamodule", None)
    if isinstance(module, DiffusionTask) and isinstance(data, EEGAudioDataModule):
        return module, data
    return None


def read_windows(task: DiffusionTask, data: EEGAudioDataModule, split: SplitName, rows: Rows) -> Batch:
    """Windows of a list by their index, on the task's device."""
    batch = data.datasets[split].__getitems__([(int(row), 0) for row in rows])
    return cast(Batch, {name: values.to(task.device) for name, values in cast(dict[str, Tensor], batch).items()})


def evenly(count: int, most: int | None) -> Rows:
    """Indices of all of ``count`` windows, or of ``most`` evenly spread."""
    chosen = count if most is None else min(most, count)
    return np.arange(chosen) * count // max(chosen, 1)


@torch.no_grad()
def generate_variants(
    task: DiffusionTask, batch: Batch, other: Batch | None = None, arms: Collection[str] = ARMS
) -> Iterator[tuple[str, Tensor]]:
    """Waveforms of a batch of windows by each arm, (B, S), in the order of ``ARMS``.

    The sampler starts from the same noise in all arms: it depends on the window's index alone, so that arms differ by
    their condition only and a clip does not depend on its batch.

    Args:
        task: Whose model.
        batch: Windows.
        other: For each window one of another trial of its subject; None leaves that arm out.
        arms: Which are wanted.
    """
    audio, index = batch["audio"], batch["index"].tolist()
    seeds = [mix(CLIP, row) for row in index]
    heard = task.model.loa_of_sound(audio)
    for arm in ARMS:
        if arm not in arms:
            continue
        if arm == "truth":
            yield arm, audio
        elif arm == "round trip":
            yield arm, task.model.round_trip(audio)
        elif arm == "loa":
            yield arm, task.generate(heard, seeds, heard.shape[1])
        elif arm == "eeg":
            yield arm, task.generate(task.loa_of(batch), seeds, heard.shape[1])
        elif arm == "noise":
            drawn = noise(batch["eeg"], batch["channel_mask"], [mix(NOISE, row) for row in index])
            yield arm, task.generate(task.loa_of({**batch, "eeg": drawn}), seeds, heard.shape[1])
        elif arm == "another trial" and other is not None:
            yield arm, task.generate(task.loa_of(other), seeds, heard.shape[1])
        elif arm == "unconditional":
            yield arm, task.generate(None, seeds, heard.shape[1])
