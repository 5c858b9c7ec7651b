"""A spatial map for each subject.

Channel i has to be the same electrode for all subjects, or at least one at nearly the same place: a subject that was
not met is served with a mean over those that were.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from eeg2speech.models.eeg.encoder import silence


def mix_channels(eeg: Tensor, matrices: Tensor, channel_mask: Tensor | None) -> Tensor:
    """Change EEG by a linear map of the channels; those that do not exist neither give nor receive.

    Args:
        eeg: (B, C, T).
        matrices: What is added to the identity, (B, C', C') with C' >= C; the first C channels count.
        channel_mask: True where a channel exists, (B, C); None if all do.

    Raises:
        ValueError: There are more channels than the matrices know.
    """
    C = eeg.shape[1]
    if matrices.shape[1] < C:
        raise ValueError(f"EEG of {C} channels does not fit a layer of channels={matrices.shape[1]}")
    eeg = silence(eeg, channel_mask)
    # the signal itself is not multiplied: in half precision it would be rounded
    mixed = eeg + matrices[:, :C, :C].to(eeg.dtype) @ eeg
    return silence(mixed, channel_mask)


def own_or_mean(subject: Tensor, met: Tensor) -> Tensor:
    """Row of a table of matrices, (B,): a subject's own if it was met, else the last one, which is the mean.

    Args:
        subject: Index, (B,); outside of the table, as -1, is someone unknown.
        met: Whose matrices can be used, (subjects,).
    """
    inside = (subject >= 0) & (subject < len(met))
    own = inside & met[subject.where(inside, 0)]
    return subject.where(own, len(met))


class SubjectLayer(nn.Module):
    """A linear map of the channels for each subject, learned from the identity.

    A subject that was not trained on gets the mean map of those that were.

    Reference: Defossez et al. 2023, Decoding speech perception from non-invasive brain recordings (arXiv 2208.12266).

    Args:
        subjects: Size of the subject index.
        channels: Most channels of a window.
    """

    known: Tensor

    def __init__(self, subjects: int, channels: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(subjects, channels, channels))
        self.register_buffer("known", torch.zeros(subjects, dtype=torch.bool))

    def mark_trained(self, subjects: Iterable[int]) -> None:
        """Say who is trained on, once before training; the state dict remembers it.

        Raises:
            ValueError: An index is outside of the layer's.
        """
        indices = sorted(set(subjects))
        if indices and not 0 <= indices[0] <= indices[-1] < len(self.known):
            raise ValueError(f"subjects {indices[0]} to {indices[-1]} are not all among the layer's {len(self.known)}")
        self.known.zero_()
        self.known[indices] = True

    def forward(self, eeg: Tensor, subject: Tensor, channel_mask: Tensor | None = None) -> Tensor:
        """Mix the channels of each window by its subject's map.

        Args:
            eeg: (B, C, T).
            subject: Index, (B,); -1 for someone unknown.
            channel_mask: True where a channel exists, (B, C); None if all do.

        Returns:
            (B, C, T), zero where a channel does not exist.

        Raises:
            ValueError: There are too many channels, or training meets a subject that ``know`` was not told of.
        """
        row = own_or_mean(subject, self.known)
        strangers = sorted(set(subject[(row == len(self.known)) & (subject >= 0)].tolist()))
        if self.training and strangers:  # -1 is meant: the mean map can be trained for strangers, too
            raise ValueError(f"subjects {strangers} are trained on, but SubjectLayer.know was not told of them")
        known = self.known.to(self.change.dtype)[:, None, None]
        mean = (self.change * known).sum(0, keepdim=True) / known.sum().clamp(min=1)
        # of `[row]` the gradient is summed in any order where there are several threads, and no run repeats another
        return mix_channels(eeg, torch.cat([self.change, mean]).index_select(0, row), channel_mask)
