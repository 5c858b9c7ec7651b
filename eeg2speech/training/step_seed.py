from __future__ import annotations

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from eeg2speech.core.seeding import mix


class StepSeed(Callback):
    """Seeds the global random generators before every batch from (seed, epoch, batch, rank).

    Masks and dropout then depend on the position in training alone: a run that was killed and resumed repeats the
    uninterrupted one, without saving the state of a generator.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed before a training step."""
        seed = mix(self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  # for libraries that still use it
