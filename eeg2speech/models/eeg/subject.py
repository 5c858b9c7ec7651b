"""Linear maps of the channels for each subject: learned, or spatial whitening fitted without labels.

Channel i has to be the same electrode for all subjects, or at least one at nearly the same position: unseen subjects
get the mean map of the training subjects.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from eeg2speech.core.errors import ConfigError, DataError
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


class Covariances:
    """Mean spatial covariance of each subject, accumulated in double precision.

    An entry is the mean over the windows in which both channels exist, or zero if there are none.

    Args:
        subjects: Size of the subject index.
        channels: Most channels of a window.
    """

    def __init__(self, subjects: int, channels: int) -> None:
        self.total = torch.zeros(subjects, channels, channels, dtype=torch.float64)
        self.windows = torch.zeros_like(self.total)

    def add(self, eeg: Tensor, subject: Tensor, channel_mask: Tensor | None = None) -> None:
        """Add windows: EEG (B, C, T), subject index (B,), mask of channels that exist (B, C) or None for all."""
        C = eeg.shape[1]
        eeg = silence(eeg, channel_mask).to("cpu", torch.float64)
        exists = torch.ones(eeg.shape[:2]) if channel_mask is None else channel_mask.cpu()
        exists = exists.to(torch.float64)
        self.total[:, :C, :C].index_add_(0, subject.cpu(), eeg @ eeg.mT / eeg.shape[2])
        self.windows[:, :C, :C].index_add_(0, subject.cpu(), exists[:, :, None] * exists[:, None])

    def mean(self, subject: int) -> Tensor:
        """Covariance of a subject's windows, (C, C)."""
        return self.total[subject] / self.windows[subject].clamp(min=1)


class Whitening(nn.Module):
    """Euclidean alignment: whitening of each subject by the inverse square root of the mean covariance of its windows.

    A subject without a fit is whitened by the mean covariance of the training subjects. Before any fit the EEG stays as
    it is. Windows with missing channels are whitened by the matrix of all of the subject's channels.

    Reference: He and Wu 2020, Transfer learning for brain-computer interfaces: a Euclidean space data alignment
    approach (arXiv 1808.05464).

    Args:
        subjects: Size of the subject index.
        channels: Most channels of a window.
        shrinkage: Weight, in (0, 1], of the multiple of the identity with the same trace that a covariance is averaged
            with. It cannot be 0, because the average reference leaves one direction without variance.

    Raises:
        ConfigError: The shrinkage is out of range.
    """

    covariance: Tensor
    fitted: Tensor
    trained: Tensor
    change: Tensor

    def __init__(self, subjects: int, channels: int, shrinkage: float = 0.1) -> None:
        super().__init__()
        if not 0 < shrinkage <= 1:
            raise ConfigError(f"shrinkage={shrinkage} is not above 0 and at most 1 (model.whitening.shrinkage)")
        self.shrinkage = shrinkage
        self.register_buffer("covariance", torch.zeros(subjects, channels, channels))
        self.register_buffer("fitted", torch.zeros(subjects, dtype=torch.bool))
        self.register_buffer("trained", torch.zeros(subjects, dtype=torch.bool))
        self.register_buffer("change", torch.zeros(subjects + 1, channels, channels))  # the last is the mean's

    def fit(self, subject: int, covariance: Tensor, training: bool = False) -> None:
        """Fit the whitening of a subject to the covariance of its EEG.

        Args:
            subject: Index.
            covariance: Of scaled EEG, (C, C), as of ``Covariances.mean``; a channel of zero variance stays as it is.
            training: The subject is a training subject, whose covariance counts in the mean for others.

        Raises:
            DataError: The covariance is not finite, or all zero.
        """
        C = len(covariance)
        change = whitening_matrix(covariance, self.shrinkage, f"subject {subject}")
        self.change[subject], self.covariance[subject] = 0, 0
        self.change[subject, :C, :C], self.covariance[subject, :C, :C] = change, covariance
        self.fitted[subject], self.trained[subject] = True, training
        self.change[-1] = 0
        if bool(self.trained.any()):
            of_all = self.covariance[self.trained].double()
            have = of_all.diagonal(dim1=1, dim2=2) > 0
            together = (have[:, :, None] & have[:, None]).sum(0)
            self.change[-1] = whitening_matrix(of_all.sum(0) / together.clamp(min=1), self.shrinkage, "all subjects")

    def forward(self, eeg: Tensor, subject: Tensor, channel_mask: Tensor | None = None) -> Tensor:
        """Whiten windows; arguments and result as of ``SubjectLayer``."""
        return mix_channels(eeg, self.change[own_or_mean(subject, self.fitted)], channel_mask)


def whitening_matrix(covariance: Tensor, shrinkage: float, whose: str) -> Tensor:
    """Inverse square root of a shrunk covariance, (C, C), minus the identity; zeros for channels of zero variance.

    It is scaled so that the whitened channels have a mean variance of 1, which the shrinkage would lower.
    """
    covariance = covariance.detach().to("cpu", torch.float64)
    exists = covariance.diagonal() > 0
    if not bool(covariance.isfinite().all()) or not bool(exists.any()):
        raise DataError(f"covariance of {whose} is not finite or is all zero; leave its recordings out of the store")
    block = exists[:, None] & exists
    size = int(exists.sum())
    own = covariance[block].reshape(size, size)
    eye = torch.eye(size, dtype=torch.float64)
    level = own.trace() / size
    values, vectors = torch.linalg.eigh((1 - shrinkage) * own + shrinkage * level * eye)
    # pairs of channels that exist in different windows can make values negative
    root = vectors / values.clamp(min=1e-6 * level).sqrt() @ vectors.T
    root = root / ((root @ own @ root).trace() / size).sqrt()
    change = torch.zeros_like(covariance)
    change[block] = (root - eye).flatten()
    return change
