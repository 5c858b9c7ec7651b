"""EEG that cannot tell what was heard, put in the place of the real one: every decoder must be at chance on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch

_NOISE, _PHASE, _TRIAL = 1, 2, 3  # one stream each, so that equal seeds do not make equal numbers


def noise(eeg: Tensor, channel_mask: Tensor, seeds: Sequence[int] | Tensor, spatial: bool = True) -> Tensor:
    """Gaussian noise, white in time, with the mean and standard deviation of every channel of its window.

    The spatial covariance is kept by default: the noise then looks as much like EEG to a network as it can without
    a time course, and what is left of the window, its power, is all that a decoder could still use.

    Args:
        eeg: (B, C, T).
        channel_mask: True where a channel exists, (B, C); the others are zero.
        seeds: One per window; a window's noise depends on nothing else.
        spatial: Keep the covariance between channels, in expectation; else channels are independent.
    """
    T = eeg.shape[-1]
    mean = eeg.mean(dim=-1, keepdim=True)
    around = eeg - mean
    if spatial:
        # columns of EEG times a Gaussian matrix have the EEG's covariance, of whatever rank
        drawn = _normal(seeds, (T, T), eeg)
        out = around @ drawn / T**0.5
    else:
        out = around.square().mean(dim=-1, keepdim=True).sqrt() * _normal(seeds, tuple(eeg.shape[1:]), eeg)
    return _existing(out + mean, channel_mask)


def phase_randomised(eeg: Tensor, channel_mask: Tensor, seeds: Sequence[int] | Tensor) -> Tensor:
    """EEG with the same spectrum and cross-spectrum: all channels of a window are turned by one phase per frequency.

    Reference: Prichard and Theiler 1994, Generating surrogate data for time series with several variables.

    Args:
        eeg: (B, C, T).
        channel_mask: True where a channel exists, (B, C); the others are zero.
        seeds: One per window; a window's phases depend on nothing else.
    """
    T = eeg.shape[-1]
    spectrum = torch.fft.rfft(eeg, dim=-1)
    phase = np.stack([_rng(seed, _PHASE).uniform(-np.pi, np.pi, spectrum.shape[-1]) for seed in _list(seeds)])
    phase[:, 0] = 0  # the mean
    if T % 2 == 0:
        phase[:, -1] = np.where(phase[:, -1] < 0, np.pi, 0)  # at half the rate only the sign is free
    turn = torch.polar(torch.ones(phase.shape, dtype=torch.float64), torch.from_numpy(phase)).to(spectrum)
    return _existing(torch.fft.irfft(spectrum * turn[:, None], n=T, dim=-1), channel_mask)


def zeros(eeg: Tensor) -> Tensor:
    """No EEG at all, (B, C, T)."""
    return torch.zeros_like(eeg)


def another_trial(subject: ArrayLike, sound: ArrayLike, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Whose EEG each window gets instead: another window of the same subject that belongs to a different sound.

    Args:
        subject: Subject of each window of a list, (n,).
        sound: Of each window, equal where the EEG must not be exchanged: the stimulus, or a sound key, (n,).
        seed: Of the draw.

    Returns:
        A permutation of the windows, (n,), and whether it leads to a different sound, (n,). As many windows as possible
        do: all but a few of a sound that fills more than half of a subject's list. Leave out those that do not.
    """
    subjects, sounds = np.asarray(subject), np.unique(np.asarray(sound), return_inverse=True)[1].reshape(-1)
    index = np.arange(len(subjects))
    for number, one in enumerate(np.unique(subjects)):
        here = np.flatnonzero(subjects == one)
        rng = np.random.default_rng(mix(seed, _TRIAL, number))
        names = rng.permutation(np.unique(sounds[here]))
        rank = np.argsort(names)[np.searchsorted(np.sort(names), sounds[here])]
        # grouped by sound in random order; a turn by the largest group leads out of every group that it can
        grouped = here[np.lexsort((rng.random(len(here)), rank))]
        index[grouped] = np.roll(grouped, -int(np.bincount(rank).max()))
    return index, sounds[index] != sounds


class SubjectMean:
    """Each subject's mean training window: all that is constant about a person, and nothing of the sound.

    It shows what the subject index and a person's offsets are worth; zeros would be the control ``zeros`` again, for
    the subject index stays there, too.

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
        """Put the subject's mean window in place of each window; zeros for a subject that was not trained on.

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


def _normal(seeds: Sequence[int] | Tensor, shape: tuple[int, ...], like: Tensor) -> Tensor:
    drawn = [_rng(seed, _NOISE).standard_normal(shape, dtype=np.float32) for seed in _list(seeds)]
    return torch.from_numpy(np.stack(drawn)).to(like)


def _list(seeds: Sequence[int] | Tensor) -> list[int]:
    return [int(seed) for seed in (seeds.tolist() if isinstance(seeds, Tensor) else seeds)]


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(mix(seed, stream))
