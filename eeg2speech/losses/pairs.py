from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eeg2speech.losses.gather import count_rows, gather_rows, rank_and_world


@dataclass
class Pairs:
    """This rank's n pairs and the N pairs of all ranks, in float32 or more.

    Attributes:
        eeg: Embeddings of this rank's EEG, (n, K).
        sound: Embeddings of its sounds, (n, K).
        all_eeg: Of all ranks, (N, K).
        all_sound: Of all ranks, (N, K).
        like_eeg: Sum of the EEG embeddings of all ranks with the key of a pair, (n, K).
        like_sound: The same of sounds, (n, K).
        positives: How many these are, (n, 1).
        rows: Mean of n over ranks: a sum divided by it averages over all rows once DDP has averaged over ranks.
    """

    eeg: Tensor
    sound: Tensor
    all_eeg: Tensor
    all_sound: Tensor
    like_eeg: Tensor
    like_sound: Tensor
    positives: Tensor
    rows: float


def gather_pairs(eeg: Tensor, sound: Tensor, key: Tensor | None) -> Pairs:
    """Meet the pairs of all ranks.

    Args:
        eeg: Embeddings of this rank's EEG, (n, K).
        sound: Embeddings of its sounds, (n, K).
        key: Which windows hold the same sound, (n,); None if all differ. Either all ranks give keys or none does.

    Raises:
        ValueError: The shapes do not go together.
    """
    if eeg.ndim != 2 or eeg.shape != sound.shape or (key is not None and key.shape != eeg.shape[:1]):
        shapes = ", ".join(str(tuple(x.shape)) for x in (eeg, sound, key) if x is not None)
        raise ValueError(f"embeddings of EEG (n, K), of sounds (n, K) and keys (n,) have shapes {shapes}")
    precision = torch.promote_types(torch.promote_types(eeg.dtype, sound.dtype), torch.float32)
    eeg, sound = eeg.to(precision), sound.to(precision)
    counts = count_rows(eeg)
    all_eeg, all_sound = gather_rows(eeg, counts), gather_rows(sound, counts)
    like_eeg, like_sound, positives = eeg, sound, eeg.new_ones(len(eeg), 1)
    if key is not None:
        groups, group = torch.unique(gather_rows(key, counts), return_inverse=True)
        mine = torch.split(group, counts)[rank_and_world()[0]]
        empty = eeg.new_zeros(len(groups), eeg.shape[1])
        # of `[mine]` the gradient would be summed in any order where there are several threads
        like_eeg, like_sound = (empty.index_add(0, group, rows).index_select(0, mine) for rows in (all_eeg, all_sound))
        positives = group.bincount(minlength=len(groups))[mine, None].to(precision)
    return Pairs(eeg, sound, all_eeg, all_sound, like_eeg, like_sound, positives, sum(counts) / len(counts))
