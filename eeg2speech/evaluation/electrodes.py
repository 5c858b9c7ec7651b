"""Electrode importance: the loss in retrieval when the electrodes around one position are set to zero."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.core.progress import Track, silently
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import embed_split
from eeg2speech.evaluation.models import BatchEmbedder
from eeg2speech.metrics import Embeddings, mean_estimate
from eeg2speech.metrics.ranks import rank_sounds, reciprocal, score
from eeg2speech.metrics.results import ElectrodeDrop, ElectrodeImportance

POSITIONS = 32
"""Most positions that are tried, so that a dense montage takes no longer than a sparse one."""
ZEROED = 1 / 8
"""Fraction of the electrodes that is set to zero around a position."""


def electrode_importance(
    embedder: BatchEmbedder, data: EEGAudioDataModule, split: SplitName, most: int, track: Track = silently
) -> ElectrodeImportance:
    """Set the electrodes nearest to each position to zero in turn and compare with the whole montage, window by window.

    Args:
        embedder: Of the model.
        data: Whose windows.
        split: Which.
        most: Windows used, evenly spread.
        track: Shows how many positions are done.
    """
    batch = next(iter(data.batches(split, 1)))
    names = data.channel_names(int(batch["recording"][0]))
    positions = batch["positions"][0, : len(names)].double()
    zeroed = max(1, round(ZEROED * len(names)))
    whole = embed_split(embedder, data, split, most=most)
    before = _reciprocal_ranks(whole)
    drops = []
    for place in track(_spread_positions(positions.numpy(), POSITIONS)):
        replace = partial(_zero_nearest, position=positions[place], count=zeroed)
        less = embed_split(embedder, data, split, replace, whole.sound, most=most)
        drop = mean_estimate(before - _reciprocal_ranks(less), 0.0, whole.stimulus)
        x, y, z = positions[place].tolist()
        drops.append(ElectrodeDrop(names[place], (x, y, z), drop))
    return ElectrodeImportance(zeroed, drops)


def _zero_nearest(batch: Batch, position: Tensor, count: int) -> Tensor:
    """EEG of a batch with zeros in the electrodes nearest to a position, in each window's own montage, (B, C, T)."""
    exists = batch["positions"].abs().sum(-1) > 0
    distance = (batch["positions"] - position).norm(dim=-1).masked_fill(~exists, torch.inf)
    near = distance.topk(min(count, distance.shape[1]), largest=False).indices
    return batch["eeg"].scatter(1, near[..., None].expand(-1, -1, batch["eeg"].shape[2]), 0.0)


def _spread_positions(positions: NDArray[np.floating], most: int) -> list[int]:
    """Indices of all electrodes with a position, or of ``most``, each as far as possible from those before it."""
    exists = np.flatnonzero(np.abs(positions).sum(1) > 0)
    if len(exists) <= most:
        return exists.tolist()
    chosen = [int(exists[positions[exists, 2].argmax()])]
    while len(chosen) < most:
        distance = np.linalg.norm(positions[exists, None] - positions[chosen], axis=2).min(axis=1)
        chosen.append(int(exists[distance.argmax()]))
    return chosen


def _reciprocal_ranks(embeddings: Embeddings) -> NDArray[np.float64]:
    comparison = embeddings.compare()
    return score(rank_sounds(comparison.similarity, comparison.target), reciprocal())
