"""A linear map of the channels for each subject.

Channel i has to be the same electrode for all subjects, or at least one at nearly the same position: unseen subjects
get the mean map of the training subjects.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from eeg2speech.models.eeg.encoder import silence


def mix_channels(eeg: Tensor, matrices: Tensor, channel_mask: Tensor | None) -> Tensor:
    """Apply a linear map to the channels of EEG; channels that do not exist stay zero and are not mixed into others.

    Args:
        eeg: (B, C, T).
        matrices: Maps minus the identity, (B, C', C') with C' >= C; the first C channels are used.
        channel_mask: True where a channel exists, (B, C); None if all do.

    Raises:
        ValueError: The matrices have fewer channels than the EEG.
    """
    C = eeg.shape[1]
    if matrices.shape[1] < C:
        raise ValueError(f"EEG of {C} channels does not fit a layer of channels={matrices.shape[1]}")
    eeg = silence(eeg, channel_mask)
    # the signal itself is not multiplied, which would round it in half precision
    mixed = eeg + matrices[:, :C, :C].to(eeg.dtype) @ eeg
    return silence(mixed, channel_mask)


def own_or_mean(subject: Tensor, fitted: Tensor) -> Tensor:
    """Row of each subject in a table of matrices, (B,): its own if it is fitted, else the last row, which is the mean.

    Args:
        subject: Index, (B,); an index outside of the table, as -1, is an unseen subject.
        fitted: Subjects whose matrices can be used, (subjects,).
    """
    inside = (subject >= 0) & (subject < len(fitted))
    own = inside & fitted[subject.where(inside, 0)]
    return subject.where(own, len(fitted))


class SubjectLayer(nn.Module):
    """A linear map of the channels for each subject, initialised with the identity.

    Unseen subjects get the mean map of the training subjects.

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
        """Mark the training subjects, once before training; stored in the state dict.

        Raises:
            ValueError: An index is outside of the layer.
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
            subject: Index, (B,); -1 for an unseen subject.
            channel_mask: True where a channel exists, (B, C); None if all do.

        Returns:
            (B, C, T), zero where a channel does not exist.

        Raises:
            ValueError: There are too many channels, or a training batch holds a subject that is not marked.
        """
        row = own_or_mean(subject, self.known)
        unmarked = sorted(set(subject[(row == len(self.known)) & (subject >= 0)].tolist()))
        if self.training and unmarked:  # -1 is allowed, since the mean map can be trained for unseen subjects
            raise ValueError(f"subjects {unmarked} are in a training batch; call SubjectLayer.mark_trained with them")
        known = self.known.to(self.change.dtype)[:, None, None]
        mean = (self.change * known).sum(0, keepdim=True) / known.sum().clamp(min=1)
        # indexing by `[row]` sums its gradient in any order on several threads, so that runs would differ
        return mix_channels(eeg, torch.cat([self.change, mean]).index_select(0, row), channel_mask)
