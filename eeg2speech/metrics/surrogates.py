"""Surrogate EEG without information about the sound, on which every decoder has to be at chance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch

_NOISE, _PHASE, _TRIAL = 1, 2, 3  # separate random streams for equal seeds


def noise(eeg: Tensor, channel_mask: Tensor, seeds: Sequence[int] | Tensor) -> Tensor:
    """Gaussian noise, white in time, with the channel means and, in expectation, the spatial covariance of its window.

    The power of each channel is all that a decoder could still use.

    Args:
        eeg: (B, C, T).
        channel_mask: True where a channel exists, (B, C); the others are zero.
        seeds: One per window, which alone determines the window's random numbers.
    """
    T = eeg.shape[-1]
    mean = eeg.mean(dim=-1, keepdim=True)
    numbers = [_rng(seed, _NOISE).standard_normal((T, T), dtype=np.float32) for seed in _list(seeds)]
    # EEG times a Gaussian matrix has the covariance of the EEG, of whatever rank
    out = (eeg - mean) @ torch.from_numpy(np.stack(numbers)).to(eeg) / T**0.5
    return _existing(out + mean, channel_mask)


def phase_randomised(eeg: Tensor, channel_mask: Tensor, seeds: Sequence[int] | Tensor) -> Tensor:
    """EEG with the same spectrum and cross-spectrum: one random phase per frequency, added to all channels of a window.

    Reference: Prichard and Theiler 1994, Generating surrogate data for time series with several variables.

    Args:
        eeg: (B, C, T).
        channel_mask: True where a channel exists, (B, C); the others are zero.
        seeds: One per window, which alone determines the window's phases.
    """
    T = eeg.shape[-1]
    spectrum = torch.fft.rfft(eeg, dim=-1)
    phase = np.stack([_rng(seed, _PHASE).uniform(-np.pi, np.pi, spectrum.shape[-1]) for seed in _list(seeds)])
    phase[:, 0] = 0  # the mean
    if T % 2 == 0:
        phase[:, -1] = np.where(phase[:, -1] < 0, np.pi, 0)  # the Nyquist frequency is real: only its sign is free
    turn = torch.polar(torch.ones(phase.shape, dtype=torch.float64), torch.from_numpy(phase)).to(spectrum)
    return _existing(torch.fft.irfft(spectrum * turn[:, None], n=T, dim=-1), channel_mask)


def zeros(eeg: Tensor) -> Tensor:
    """EEG of zeros, (B, C, T)."""
    return torch.zeros_like(eeg)


def another_trial(subject: ArrayLike, sound: ArrayLike, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Assign to each window the EEG of another window of the same subject with a different sound.

    Args:
        subject: Subject of each window of a split, (n,).
        sound: Sound of each window, (n,), by stimulus or key; EEG is exchanged only between different sounds.
        seed: Seed of the draw.

    Returns:
        A permutation of the windows, (n,), and whether it leads to a different sound, (n,). It does for as many
        windows as possible: for all unless one sound fills more than half of a subject's windows. Leave out the others.
    """
    subjects, sounds = np.asarray(subject), np.unique(np.asarray(sound), return_inverse=True)[1].reshape(-1)
    index = np.arange(len(subjects))
    for number, one in enumerate(np.unique(subjects)):
        here = np.flatnonzero(subjects == one)
        rng = np.random.default_rng(mix(seed, _TRIAL, number))
        names = rng.permutation(np.unique(sounds[here]))
        rank = np.argsort(names)[np.searchsorted(np.sort(names), sounds[here])]
        # windows are sorted by sound in random order; a rotation by the largest group leads out of the most groups
        grouped = here[np.lexsort((rng.random(len(here)), rank))]
        index[grouped] = np.roll(grouped, -int(np.bincount(rank).max()))
    return index, sounds[index] != sounds


class SubjectMean:
    """Each subject's mean training window: what is constant in a subject, without information about the sound.

    As a control it measures the contribution of the subject index and of the subject's offsets.

    Args:
        batches: Training windows, all of the same length.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        total: dict[int, Tensor] = {}
        count: dict[int, int] = {}
        for batch in batches:
            for subject in sorted(set(batch["subject"].tolist())):
                windows = batch["eeg"][batch["subject"] == subject].double()
                known = total.get(subject)
                channels = windows.shape[1] if known is None else max(windows.shape[1], known.shape[0])
                summed = _widened(windows.sum(dim=0), channels)
                total[subject] = summed if known is None else _widened(known, channels) + summed
                count[subject] = count.get(subject, 0) + len(windows)
        self.means = {subject: (window / count[subject]).float() for subject, window in total.items()}

    def __call__(self, eeg: Tensor, channel_mask: Tensor, subject: Tensor) -> Tensor:
        """Replace each window by the mean window of its subject; zeros for a subject outside the training data.

        Args:
            eeg: (B, C, T).
            channel_mask: True where a channel exists, (B, C).
            subject: Index of each window's subject, (B,).
        """
        out = torch.zeros_like(eeg)
        for row, one in enumerate(subject.tolist()):
            if one in self.means:
                mean = self.means[one][: eeg.shape[1]]
                out[row, : len(mean)] = mean.to(eeg)
        return _existing(out, channel_mask)


def _existing(eeg: Tensor, channel_mask: Tensor) -> Tensor:
    return eeg.masked_fill(~channel_mask[:, :, None], 0)


def _widened(window: Tensor, channels: int) -> Tensor:
    return torch.cat([window, window.new_zeros(channels - len(window), window.shape[1])])


def _list(seeds: Sequence[int] | Tensor) -> list[int]:
    return [int(seed) for seed in (seeds.tolist() if isinstance(seeds, Tensor) else seeds)]


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(mix(seed, stream))
