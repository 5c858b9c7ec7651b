"""Losses that pull an EEG window and its sound together and push it away from other sounds.

Both share one plan. What attracts a row to its positives is linear in them, so it needs only their sum; what repels it
from all others needs the similarities of all pairs, and is computed in blocks of rows that the backward pass may
compute again. Only embeddings and sound keys cross processes, never similarities.
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
"""Limit of InfoNCE's log scale, as in CLIP and CLAP."""
RowCost = Callable[[Tensor, Tensor], Tensor]
"""Queries (n, K) and all candidates (N, K) to one cost per query, (n,)."""


def row_costs(cost: RowCost, queries: Tensor, candidates: Tensor, chunk: int | None) -> Tensor:
    """Cost of every query, (n,), ``chunk`` at a time; their similarities are not kept but computed again."""
    if chunk is None or len(queries) <= chunk:
        return cost(queries, candidates)
    blocks = torch.split(queries, chunk)  # one node of the graph; slices would each send back a gradient of full size
    costs = [checkpoint(cost, q, candidates, use_reentrant=False, preserve_rng_state=False) for q in blocks]
    return torch.cat(costs)


class InfoNCE(nn.Module):
    """Symmetric cross entropy of finding the sound of an EEG window, and the EEG of a sound, among the whole batch.

    Where several windows hold the same sound, the target is the uniform distribution over them, and not the probability
    of hitting any of them: that would be content with one, and leave the subject who is hardest to decode behind. The
    least possible loss is then the target's entropy, the mean log of how many positives a row has. (The first form of
    Khosla et al. 2020, arXiv 2004.11362, with all positives across modalities.)

    The scale that similarities are multiplied by is learned as its logarithm and kept in [0, ln 100] as CLAP does, by
    moving the parameter itself. This happens at the start of a training step and not at the end of the last, for which
    a loss would have to know the optimizer; nothing is computed in between. It is a function of the parameter alone,
    so all ranks do the same, and a resumed run does what the uninterrupted one would have done. The parameter never
    stands beyond a limit when it is used, so its gradient is never cut off and it can leave a limit at once.

    Reference: Radford et al. 2021, Learning transferable visual models (arXiv 2103.00020); Wu et al. 2023, Large-scale
    contrastive language-audio pretraining (arXiv 2211.06687).

    Args:
        temperature: One over the scale at the start.
        chunk: Rows whose similarities are held at a time; they are computed again in the backward pass, so that memory
            grows with chunk x whole batch and not with batch x whole batch. None for all rows.

    Raises:
        ConfigError: The temperature is outside its limits, or there is less than one row in a chunk.
    """

    def __init__(self, temperature: float = 0.07, chunk: int | None = None) -> None:
        super().__init__()
        if not 0.01 <= temperature <= 1:
            raise ConfigError(f"temperature={temperature} is not between 0.01 and 1 (model.loss.temperature)")
        self.chunk = check_chunk(chunk)
        self.log_scale = nn.Parameter(torch.full((1,), -math.log(temperature)))  # not a scalar: FSDP refuses those

    @property
    def scale(self) -> Tensor:
        """What similarities are multiplied by, a scalar in [1, 100] without gradient."""
        return self.log_scale.detach().clamp(0, LARGEST).exp()[0]

    def forward(self, eeg: Tensor, sound: Tensor, key: Tensor | None = None) -> Tensor:
        """Loss of this rank's pairs among those of all ranks; every rank has to call it.

        Args:
            eeg: Unit vectors of EEG windows, (B, K).
            sound: Unit vectors of their sounds, (B, K).
            key: Which windows hold the same sound, (B,); None if all differ.

        Returns:
            A scalar, in float32 also under autocast: the mean over this rank's rows (if ranks hold different numbers of
            rows, weighted so that the mean over ranks is the mean over all rows).
        """
        with torch.autocast(eeg.device.type, enabled=False):
            if self.training:
                with torch.no_grad():
                    self.log_scale.clamp_(0, LARGEST)
            pairs = gather_pairs(eeg, sound, key)
            log_scale = self.log_scale if self.training else self.log_scale.clamp(0, LARGEST)
            scale = log_scale.to(pairs.eeg.dtype).exp()

            def partition(queries: Tensor, candidates: Tensor) -> Tensor:
                # scaling queries is cheaper than scaling logits, which would be kept twice
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
    """Sigmoid loss: every pair of a window and a sound is a question of its own, answered yes or no.

    A window and a sound with equal keys are a yes. Scale and bias are learned and, as published, not limited.

    Reference: Zhai et al. 2023, Sigmoid loss for language image pre-training (arXiv 2303.15343).

    Args:
        scale: What similarities are multiplied by at the start.
        bias: Added to them at the start; far below zero, as nearly all pairs are a no.
        chunk: Rows whose similarities are held at a time, see ``InfoNCE``; None for all rows.

    Raises:
        ConfigError: The scale is not positive, or there is less than one row in a chunk.
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
        """What similarities are multiplied by, a scalar without gradient."""
        return self.log_scale.detach().exp()[0]

    def forward(self, eeg: Tensor, sound: Tensor, key: Tensor | None = None) -> Tensor:
        """Loss of this rank's EEG with the sounds of all ranks; arguments and result as of ``InfoNCE``."""
        with torch.autocast(eeg.device.type, enabled=False):
            pairs = gather_pairs(eeg, sound, key)
            bias, scale = self.bias.to(pairs.eeg.dtype), self.log_scale.to(pairs.eeg.dtype).exp()

            def repulsion(queries: Tensor, candidates: Tensor) -> Tensor:
                logits = torch.addmm(bias, scale * queries, candidates.T)
                return F.softplus(logits, threshold=40).sum(dim=1)  # exact: beyond 40 the rest is below rounding

            # -log sigmoid(x) of a yes is softplus(x) - x
            attraction = (scale * similarity(pairs.eeg, pairs.like_sound) + bias * pairs.positives).sum()
            return (row_costs(repulsion, pairs.eeg, pairs.all_sound, self.chunk).sum() - attraction) / pairs.rows


def similarity(queries: Tensor, like: Tensor) -> Tensor:
    """Dot product row by row, (n, 1), as a matrix product: it makes no (n, K) of its own."""
    return (queries[:, None] @ like[:, :, None])[:, 0]


def check_chunk(chunk: int | None) -> int | None:
    """Rows of a block, at least 1; None for all."""
    if chunk is not None and chunk < 1:
        raise ConfigError(f"chunk={chunk} needs at least one row, or null for all (model.loss.chunk)")
    return chunk
