"""Null training: data without information, on which a trained model must stay at chance."""

from __future__ import annotations

from typing import Literal, cast

import torch

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch
from eeg2speech.metrics.surrogates import noise, phase_randomised

TrainOn = Literal["real", "noise", "phase-randomised", "shuffled"]
_SOUND_KEYS = ("audio", "stimulus", "sound_start")


def apply_train_on(batch: Batch, train_on: TrainOn) -> Batch:
    """Replace the EEG or permute the sounds of a training batch.

    Args:
        batch: Windows with their sounds.
        train_on: ``noise`` and ``phase-randomised`` replace the EEG; ``shuffled`` permutes the sounds, with their
            ``stimulus`` and ``sound_start``.

    Returns:
        A new batch, which depends on this one and its seeds alone; for ``real`` the same batch.
    """
    if train_on == "real":
        return batch
    if train_on == "shuffled":
        order = _permutation(batch["seed"])
        return cast(Batch, {**batch, **{name: batch[name][order] for name in _SOUND_KEYS}})  # type: ignore[literal-required]
    replace = noise if train_on == "noise" else phase_randomised
    return {**batch, "eeg": replace(batch["eeg"], batch["channel_mask"], batch["seed"])}


def _permutation(seeds: torch.Tensor) -> torch.Tensor:
    """A random permutation of a batch, drawn from all of them, the identity included.

    Excluding a window's own sound would make it the one sound that is never the target: a model would learn to push it
    away, and its retrieval would fall below chance.
    """
    generator = torch.Generator().manual_seed(mix(*seeds.tolist()))
    return torch.randperm(len(seeds), generator=generator).to(seeds.device)
