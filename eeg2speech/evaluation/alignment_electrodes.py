"""Which electrodes matter: what retrieval loses when those around a place fall silent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.core.progress import Track, silently
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.alignment_controls import embed_split
from eeg2speech.metrics import Embeddings, Estimate, mean_estimate
from eeg2speech.metrics.ranks import rank_sounds, reciprocal, score
from eeg2speech.tasks.alignment import AlignmentTask

PLACES = 32
"""Places that are tried at most, so that a dense cap takes no longer than a sparse one."""
SHARE = 1 / 8
"""Of the electrodes that fall silent around a place."""


@dataclass(frozen=True)
class ElectrodeDrops:
    """What retrieval loses without the electrodes around each of P places.

    Attributes:
        names: Electrodes at the places.
        positions: Of these, metres in head coordinates, (P, 3).
        silent: How many electrodes fell silent around each.
        drops: Of the mean reciprocal rank, with intervals over stimuli.
    """

    names: list[str]
    positions: NDArray[np.floating]
    silent: int
    drops: list[Estimate]


def electrode_drops(
    task: AlignmentTask, data: EEGAudioDataModule, split: SplitName, most: int, track: Track = silently
) -> ElectrodeDrops:
    """Silence each place's nearest electrodes in turn and compare with the whole cap, window by window.

    Args:
        task: Whose model.
        data: Whose windows.
        split: Which list.
        most: Windows that are looked at, evenly spread.
        track: Shows how many places are done.
    """
    batch = next(iter(data.batches(split, 1)))
    names = data.channel_names(int(batch["recording"][0]))
    positions = batch["positions"][0, : len(names)].double()
    places = _spread(positions.numpy(), PLACES)
    silent = max(1, round(SHARE * len(names)))
    whole = embed_split(task, data, split, most=most)
    before = _reciprocal_ranks(whole)
    drops = []
    for place in track(positions[places].unbind()):
        less = embed_split(task, data, split, partial(_silenced, place=place, count=silent), whole.sound, most=most)
        lost = before - _reciprocal_ranks(less)
        drops.append(mean_estimate(lost, 0.0, whole.stimulus))
    return ElectrodeDrops([names[i] for i in places], positions[places].numpy(), silent, drops)


def _silenced(batch: Batch, place: Tensor, count: int) -> Tensor:
    """EEG of a batch without the electrodes nearest to a place, in each window's own montage, (B, C, T)."""
    known = batch["positions"].abs().sum(-1) > 0
    distance = (batch["positions"] - place).norm(dim=-1).masked_fill(~known, torch.inf)
    near = distance.topk(min(count, distance.shape[1]), largest=False).indices
    return batch["eeg"].scatter(1, near[..., None].expand(-1, -1, batch["eeg"].shape[2]), 0.0)


def _spread(positions: NDArray[np.floating], most: int) -> list[int]:
    """Electrodes with a position: all, or each as far as can be from those before it."""
    known = np.flatnonzero(np.abs(positions).sum(1) > 0)
    if len(known) <= most:
        return known.tolist()
    chosen = [int(known[positions[known, 2].argmax()])]
    while len(chosen) < most:
        distance = np.linalg.norm(positions[known, None] - positions[chosen], axis=2).min(axis=1)
        chosen.append(int(known[distance.argmax()]))
    return chosen


def _reciprocal_ranks(embeddings: Embeddings) -> NDArray[np.float64]:
    comparison = embeddings.compare()
    return score(rank_sounds(comparison.similarity, comparison.target), reciprocal())
