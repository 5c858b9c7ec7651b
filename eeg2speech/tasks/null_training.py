"""What training is shown in place of the truth, to see what a model finds where there is nothing to be found."""

from __future__ import annotations

from typing import Literal, cast

import torch

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch
from eeg2speech.metrics.surrogates import noise, phase_randomised

TrainOn = Literal["real", "noise", "phase-randomised", "shuffled"]
_OF_A_SOUND = ("audio", "stimulus", "sound_start")


def apply_train_on(batch: Batch, train_on: TrainOn) -> Batch:
    """The batch that training sees.

    Args:
        batch: Windows with their sounds.
        train_on: ``noise`` and ``phase-randomised`` replace the EEG; ``shuffled`` deals the sounds out anew.

    Returns:
        Another batch, a function of this one and its seeds. Its keys follow its sounds.
    """
    if train_on == "real":
        return batch
    if train_on == "shuffled":
        order = _dealt(batch["seed"])
        return cast(Batch, {**batch, **{name: batch[name][order] for name in _OF_A_SOUND}})  # type: ignore[literal-required]
    replace = noise if train_on == "noise" else phase_randomised
    return {**batch, "eeg": replace(batch["eeg"], batch["channel_mask"], batch["seed"])}


def _dealt(seeds: torch.Tensor) -> torch.Tensor:
    """A permutation of a batch, the true order among those that it is drawn from.

    If no window could keep its own sound, that sound would be the one that is never right: a model would learn to push
    it away, and its retrieval would fall below chance.
    """
    generator = torch.Generator().manual_seed(mix(*seeds.tolist()))
    return torch.randperm(len(seeds), generator=generator).to(seeds.device)
