"""Contrastive losses: matching windows of EEG and sound get similar embeddings, other pairs dissimilar ones.

In both losses the term of the positives is linear in them, so that only their sum is needed. The term of all pairs
needs all similarities; it is computed in blocks of rows, which the backward pass may compute again. Processes exchange
embeddings and sound keys, but no similarities.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from eeg2speech.core.errors import ConfigError
from eeg2speech.losses.pairs import gather_pairs

LARGEST = math.log(100)
"""Upper limit of InfoNCE's log scale, as in CLIP and CLAP."""
RowCost = Callable[[Tensor, Tensor], Tensor]
"""Queries (n, K) and all candidates (N, K) to one cost per query, (n,)."""


def row_costs(cost: RowCost, queries: Tensor, candidates: Tensor, chunk: int | None) -> Tensor:
    """Cost of every query, (n,), ``chunk`` at a time; similarities are not kept but computed again."""
    if chunk is None or len(queries) <= chunk:
        return cost(queries, candidates)
    blocks = torch.split(queries, chunk)  # one node of the graph; each slice would have a gradient of full size
    costs = [checkpoint(cost, q, candidates, use_reentrant=False, preserve_rng_state=False) for q in blocks]
    return torch.cat(costs)


class InfoNCE(nn.Module):
    """Symmetric cross entropy of retrieving the sound of an EEG window, and the EEG of a sound, from the whole batch.

    If several windows have the same sound, the target is the uniform distribution over them. (The probability of any of
    them as target would be maximal with one, so that subjects who are hard to decode would not be learned.) The minimum
    of the loss is then the entropy of the target, the mean log of the number of positives of a row. This is the first
    form of Khosla et al. 2020, arXiv 2004.11362, with all positives in the other modality.

    The scale of similarities is learned as its logarithm. As in CLAP, the parameter itself is clamped to [0, ln 100],
    at the start of each training step: all ranks and resumed runs do the same, and the gradient is never cut off.

    Reference: Radford et al. 2021, Learning transferable visual models (arXiv 2103.00020); Wu et al. 2023, Large-scale
    contrastive language-audio pretraining (arXiv 2211.06687).

    Args:
        temperature: One over the initial scale.
        chunk: Rows whose similarities are in memory at a time; they are computed again in the backward pass, so that
            memory grows with chunk x whole batch instead of batch x whole batch. None for all rows.

    Raises:
        ConfigError: The temperature is out of range, or a chunk has less than one row.
    """

    def __init__(self, temperature: float = 0.07, chunk: int | None = None) -> None:
        super().__init__()
        if not 0.01 <= temperature <= 1:
            raise ConfigError(f"temperature={temperature} is not between 0.01 and 1 (model.loss.temperature)")
        self.chunk = check_chunk(chunk)
        self.log_scale = nn.Parameter(torch.full((1,), -math.log(temperature)))

    @property
    def scale(self) -> Tensor:
        """Factor of the similarities, a scalar in [1, 100] without gradient."""
        return self.log_scale.detach().clamp(0, LARGEST).exp()[0]

    def forward(self, eeg: Tensor, sound: Tensor, key: Tensor | None = None) -> Tensor:
        """Loss of this rank's pairs among those of all ranks; every rank has to call it.

        Args:
            eeg: Unit vectors of EEG windows, (B, K).
            sound: Unit vectors of their sounds, (B, K).
            key: Equal for windows with the same sound, (B,); None if all differ.

        Returns:
            A scalar, in float32 also under autocast: the mean over this rank's rows. If ranks have different numbers of
            rows, it is weighted so that the mean over ranks is the mean over all rows.
        """
        with torch.autocast(eeg.device.type, enabled=False):
            if self.training:
                with torch.no_grad():
                    self.log_scale.clamp_(0, LARGEST)
            pairs = gather_pairs(eeg, sound, key)
            log_scale = self.log_scale if self.training else self.log_scale.clamp(0, LARGEST)
            scale = log_scale.to(pairs.eeg.dtype).exp()

            def partition(queries: Tensor, candidates: Tensor) -> Tensor:
                # scaling queries is cheaper than scaling logits, which would be stored twice
                return ((scale * queries) @ candidates.T).logsumexp(dim=1)

            loss = pairs.eeg.new_zeros(())
            for queries, candidates, like in (
                (pairs.eeg, pairs.all_sound, pairs.like_sound),
                (pairs.sound, pairs.all_eeg, pairs.like_eeg),
            ):
                attraction = (scale * similarity(queries, like) / pairs.positives).sum()
                loss = loss + row_costs(partition, queries, candidates, self.chunk).sum() - attraction
            return loss / (2 * pairs.rows)


class SigLIP(nn.Module):
    """Sigmoid loss: binary classification of every pair of a window and a sound.

    Pairs with equal keys are positive. Scale and bias are learned and, as published, not limited.

    Reference: Zhai et al. 2023, Sigmoid loss for language image pre-training (arXiv 2303.15343).

    Args:
        scale: Initial factor of the similarities.
        bias: Initial offset of the similarities; far below zero, because nearly all pairs are negative.
        chunk: See ``InfoNCE``.

    Raises:
        ConfigError: The scale is not positive, or a chunk has less than one row.
    """

    def __init__(self, scale: float = 10.0, bias: float = -10.0, chunk: int | None = None) -> None:
        super().__init__()
        if scale <= 0:
            raise ConfigError(f"scale={scale} is not positive (model.loss.scale)")
        self.chunk = check_chunk(chunk)
        self.log_scale = nn.Parameter(torch.full((1,), math.log(scale)))
        self.bias = nn.Parameter(torch.full((1,), float(bias)))

    @property
    def scale(self) -> Tensor:
        """Factor of the similarities, a scalar without gradient."""
        return self.log_scale.detach().exp()[0]

    def forward(self, eeg: Tensor, sound: Tensor, key: Tensor | None = None) -> Tensor:
        """Loss of this rank's EEG with the sounds of all ranks; arguments and result as of ``InfoNCE``."""
        with torch.autocast(eeg.device.type, enabled=False):
            pairs = gather_pairs(eeg, sound, key)
            bias, scale = self.bias.to(pairs.eeg.dtype), self.log_scale.to(pairs.eeg.dtype).exp()

            def repulsion(queries: Tensor, candidates: Tensor) -> Tensor:
                logits = torch.addmm(bias, scale * queries, candidates.T)
                return F.softplus(logits, threshold=40).sum(dim=1)  # exact: beyond 40 the rest is below rounding

            # -log sigmoid(x) of a positive pair is softplus(x) - x
            attraction = (scale * similarity(pairs.eeg, pairs.like_sound) + bias * pairs.positives).sum()
            return (row_costs(repulsion, pairs.eeg, pairs.all_sound, self.chunk).sum() - attraction) / pairs.rows


def similarity(queries: Tensor, like: Tensor) -> Tensor:
    """Dot product row by row, (n, 1), as a matrix product, which allocates no (n, K)."""
    return (queries[:, None] @ like[:, :, None])[:, 0]


def check_chunk(chunk: int | None) -> int | None:
    """Rows of a block, at least 1; None for all."""
    if chunk is not None and chunk < 1:
        raise ConfigError(f"chunk={chunk} needs at least one row, or null for all (model.loss.chunk)")
    return chunk
